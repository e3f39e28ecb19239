-- wrk's report in one line of plain numbers, for load.sh: requests, microseconds of the load,
-- 50th and 99th percentile of the latency in microseconds, failed requests.
function done(summary, latency, requests)
    local errors = summary.errors
    local failed = errors.connect + errors.read + errors.write + errors.status + errors.timeout
    io.write(string.format("measured %d %d %d %d %d\n", summary.requests, summary.duration,
        latency:percentile(50), latency:percentile(99), failed))
end
