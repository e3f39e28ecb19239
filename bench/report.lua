-- The load as load.sh wants it, and wrk's report in one line of plain numbers: requests,
-- microseconds of the load, 50th and 99th percentile of the latency in microseconds, failed ones.

-- With a number behind `--`, each request uploads so many bytes.
function init(arguments)
    if arguments[1] then
        wrk.method = "POST"
        wrk.body = string.rep("v", tonumber(arguments[1]))
    end
end

function done(summary, latency, requests)
    local errors = summary.errors
    local failed = errors.connect + errors.read + errors.write + errors.status + errors.timeout
    io.write(string.format("measured %d %d %d %d %d\n", summary.requests, summary.duration,
        latency:percentile(50), latency:percentile(99), failed))
end
