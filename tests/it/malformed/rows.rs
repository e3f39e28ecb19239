//! Requests that are malformed, ambiguous or too large, and the status that each must get.
//!
//! Where the families come from:
//! - `request line`, `method`, `version`, `target`: RFC 9112 §2.2, §2.3, §3 and §3.2.
//! - `other protocol`: what plain ports get by mistake; RFC 9113 §3.4, RFC 8446 §5.1, the PROXY
//!   protocol.
//! - `field line`: RFC 9112 §2.2, §5 and §5.2; blanks and bare CR, LF and NUL as in Klein, "HTTP
//!   request smuggling in 2020" (Black Hat 2020), and Linhart et al., "HTTP request smuggling"
//!   (Watchfire 2005).
//! - `host`: RFC 9112 §3.2, RFC 9110 §7.2; Kettle, "Cracking the lens" (2017).
//! - `content-length`: RFC 9110 §8.6, RFC 9112 §6.3; CL.CL in all papers; Python's and Node's
//!   readings of `+5`, `1_0` and `0x5` as found with the HTTP Garden (2024).
//! - `transfer-encoding`: RFC 9112 §6.1; TE.TE obfuscations of Kettle, "HTTP desync attacks"
//!   (2019).
//! - `both lengths`: RFC 9112 §6.3 and §11.2; CL.TE and TE.CL of Kettle 2019, 0.CL of Kettle,
//!   "HTTP/1.1 must die" (2025).
//! - `chunk size`, `chunk end`, `trailer`: RFC 9112 §7.1; the HTTP Garden.
//! - `chunk line`: RFC 9112 §7.1.1; TERM.EXT, EXT.TERM, TERM.SPILL and SPILL.TERM of "Funky chunks"
//!   (2025), as the bare line ends that they rest on.
//! - `too large`, `not served`: RFC 9110 §10.1.1, §15.5 and §15.6; RFC 6585 §5; README.
//! - `cut short`: RFC 9112 §8.

/// What must become of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// An answer with this status, and then the end of the connection.
    Status(u16),
    /// The client stops in the middle: the end of the connection, whether with an answer or not.
    Closed,
}

pub struct Row {
    pub name: String,
    pub bytes: Vec<u8>,
    pub wanted: Wanted,
}

const GET: &str = "GET /row HTTP/1.1\r\nHost: a.test\r\n";
const POST: &str = "POST /row HTTP/1.1\r\nHost: a.test\r\n";
const CHUNKED: &str = "POST /row HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n";
const END: &str = "\r\n\r\n";
/// Stands behind a request line.
const HOST: &str = "\r\nHost: a.test\r\n\r\n";

pub fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    for (name, start, end, wanted, middles) in FAMILIES {
        for middle in *middles {
            let bytes = [start.as_bytes(), middle, end.as_bytes()].concat();
            let name = format!("{name} {}", middle.escape_ascii());
            let wanted = Wanted::Status(*wanted);
            rows.push(Row {
                name,
                bytes,
                wanted,
            });
        }
    }
    // Content that begins well and is too long to be held: a backend has part of it already.
    let begun = format!("{CHUNKED}30000\r\n{}\r\n", "a".repeat(0x30000));
    for end in [
        "x\r\n",
        "5\r\nhello0\r\n\r\n",
        "5 \r\nhello\r\n",
        "0\r\n\n",
        "0\r\nA\r\n\r\n",
    ] {
        let bytes = format!("{begun}{end}").into_bytes();
        let name = format!("mid-stream {end:?}");
        let wanted = Wanted::Status(400);
        rows.push(Row {
            name,
            bytes,
            wanted,
        });
    }
    rows.extend(too_large());
    for bytes in CUT_SHORT {
        let name = format!("cut short {bytes:?}");
        let bytes = bytes.as_bytes().to_vec();
        let wanted = Wanted::Closed;
        rows.push(Row {
            name,
            bytes,
            wanted,
        });
    }
    rows
}

fn too_large() -> Vec<Row> {
    let a = |n: usize| "a".repeat(n);
    let rows = [
        (
            414,
            "target",
            format!("GET /{} HTTP/1.1{HOST}", a(8 * 1024)),
        ),
        (
            414,
            "target without an end",
            format!("GET /{}", a(8 * 1024)),
        ),
        (431, "field", format!("{GET}A: {}{END}", a(32 * 1024))),
        (
            431,
            "field without an end",
            format!("{GET}A: {}", a(33 * 1024)),
        ),
        (431, "name without an end", format!("{GET}{}", a(33 * 1024))),
        (
            431,
            "blanks without an end",
            format!("{GET}A:{}", " ".repeat(33 * 1024)),
        ),
        (
            431,
            "fields",
            format!("{GET}{}\r\n", "A: b\r\n".repeat(100)),
        ),
        (
            431,
            "fields without an end",
            format!("{GET}{}", "A: b\r\n".repeat(100)),
        ),
        (
            431,
            "fields of bytes",
            format!("{GET}{}\r\n", format!("A: {}\r\n", a(500)).repeat(70)),
        ),
        (
            501,
            "method",
            format!("{} / HTTP/1.1{HOST}", "M".repeat(65)),
        ),
        (501, "method without an end", "M".repeat(65)),
        (
            400,
            "size line",
            format!("{CHUNKED}5;{}\r\nhello\r\n0\r\n\r\n", a(256)),
        ),
        (
            400,
            "size line without an end",
            format!("{CHUNKED}5;{}", a(256)),
        ),
        (
            400,
            "trailer",
            format!("{CHUNKED}0\r\nA: {}\r\n\r\n", a(8 * 1024)),
        ),
        (
            400,
            "trailers",
            format!("{CHUNKED}0\r\n{}\r\n", "A: b\r\n".repeat(101)),
        ),
        (
            400,
            "extensions",
            CHUNKED.to_owned() + &format!("1;{}\r\na\r\n", a(250)).repeat(80),
        ),
    ];
    let row = |(status, name, text): (u16, &str, String)| Row {
        name: format!("too large {name}"),
        bytes: text.into_bytes(),
        wanted: Wanted::Status(status),
    };
    rows.into_iter().map(row).collect()
}

/// Nothing is sent behind these, and nothing follows.
const CUT_SHORT: &[&str] = &[
    "G",
    "GET /row HTTP/1.1",
    "GET /row HTTP/1.1\r\nHost: a.test\r\n",
    "GET /row HTTP/1.1\r\nHost: a.test\r\n\r",
    "POST /row HTTP/1.1\r\nHost: a.test\r\nContent-Length: 6\r\n\r\nhello",
    "POST /row HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n",
    "POST /row HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhell",
    "POST /row HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
    "POST /row HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n",
];

/// Name, what stands before each row and behind it, the status, the rows.
type Family = (
    &'static str,
    &'static str,
    &'static str,
    u16,
    &'static [&'static [u8]],
);

// Row by row it would be ten pages.
#[rustfmt::skip]
const FAMILIES: &[Family] = &[
    ("request line", "", HOST, 400, &[
        b"GET /row", b"GET /row ", b"GET  /row HTTP/1.1", b"GET /row  HTTP/1.1",
        b"GET /row HTTP/1.1 ", b" GET /row HTTP/1.1", b"\tGET /row HTTP/1.1",
        b"GET\t/row\tHTTP/1.1", b"GET /row\tHTTP/1.1", b"GET /row x HTTP/1.1", b"GET HTTP/1.1",
        b"GET  HTTP/1.1", b"/row HTTP/1.1", b"\r\n\r\nGET /row HTTP/1.1", b"\nGET /row HTTP/1.1",
        b"\rGET /row HTTP/1.1", b"\0GET /row HTTP/1.1", b"\xef\xbb\xbfGET /row HTTP/1.1",
        b"GET /row HTTP/1.1\nA: b", b"GET /row HTTP/1.1\rA: b", b"GET /row HTTP/1.1\r\r",
        b"GET\r\n/row HTTP/1.1", b"GET /row\r\nHTTP/1.1", b"GET /row\0HTTP/1.1",
        b"GET /row\x0bHTTP/1.1", b"GET /row\x0cHTTP/1.1", b"GET /row\xa0HTTP/1.1",
    ]),
    ("method", "", HOST, 400, &[
        b"G(T /row HTTP/1.1", b"GE:T /row HTTP/1.1", b"\"GET\" /row HTTP/1.1",
        b"G\xc3\x89T /row HTTP/1.1", b"GE\0T /row HTTP/1.1", b"GE\x7fT /row HTTP/1.1",
        b"{} /row HTTP/1.1", b"GET,POST /row HTTP/1.1",
    ]),
    ("version", "GET /row ", HOST, 400, &[
        b"http/1.1", b"Http/1.1", b"HTTP/1.10", b"HTTP/01.1", b"HTTP/1", b"HTTP/1.", b"HTTP/.1",
        b"HTTP/11", b"HTTP 1.1", b"HTTP/1,1", b"HTTP/1.x", b"HTTP/+1.1", b"HTTP/1.1/", b"HTTPS/1.1",
        b"FTP/1.1", b"1.1", b"H", b"HTTP/1.\xb9",
    ]),
    ("version", "GET /row ", HOST, 505, &[
        b"HTTP/0.9", b"HTTP/1.2", b"HTTP/1.9", b"HTTP/2.0", b"HTTP/3.0", b"HTTP/9.9",
    ]),
    ("target", "GET ", " HTTP/1.1\r\nHost: a.test\r\n\r\n", 400, &[
        b"*", b"row", b"?row", b"a.test", b"a.test:80", b"http:", b"http:/", b"http://",
        b"http:///row", b"http://?row", b"http://:80/row", b"http://u@a.test/row",
        b"http://u:p@a.test/row", b"http://a.test:b/row", b"http://a.test:80:81/row",
        b"http://a.test\\row", b"http://[::1/row", b"http://a,b/row", b"ftp://a.test/row",
        b"ws://a.test/row", b"\\\\a.test\\row", b"/row#a", b"/row\ta", b"/row\0", b"/row\x01",
        b"/row\x7f", b"/row\r", b"/row\n", b"/row\ra", b"/row\na", b"**", b"*/row",
    ]),
    ("other protocol", "", "", 400, &[
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"\x80\x2e\x01\x03\x01",
        b"SSH-2.0-OpenSSH_9.6\r\n", b"EHLO a.test\r\n", b"PROXY TCP4 10.0.0.7 10.0.0.8 1 80\r\n",
        b"\r\n\r\n\0\r\nQUIT\n", b"*1\r\n$4\r\nPING\r\n", b"\x00\x00\x00\x00", b"{\"a\":1}\r\n",
        b"GET /row\r\n",
    ]),
    ("other protocol", "", "", 505, &[
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ]),
    ("field line", GET, END, 400, &[
        b"A : b", b"A\t: b", b"A\x0b: b", b" A: b", b"\tA: b", b"A", b"A b", b": b", b":",
        b"A: b\r\n c", b"A: b\r\n\tc", b"A: b\r\n ", b"A\r\n : b", b"A: b\nC: d", b"A: b\rC: d",
        b"A: b\r\rC: d", b"A: b\n\r", b"A: \0", b"A: b\0", b"A: \x01", b"A: \x08", b"A: \x0b",
        b"A: \x0c", b"A: \x1b", b"A: \x1f", b"A: \x7f", b"A\0: b", b"A\x01: b", b"A\x7f: b",
        b"\xc3\x84: b", b"A(: b", b"(A): b", b"A@: b", b"A[0]: b", b"A/: b", b"A;: b", b"A=: b",
        b"\"A\": b", b"{A}: b", b"A, B: c", b"A: b\n", b"A: b\r\nC", b"\r A: b", b"\x00",
        b"GET /behind HTTP/1.1",
    ]),
    ("field line", "GET /row HTTP/1.1\r\n", "\r\nHost: a.test\r\n\r\n", 400, &[
        b" A: b", b"\tA: b", b" ", b" \r\nA: b", b"\n",
    ]),
    ("host", "GET /row HTTP/1.1\r\n", END, 400, &[
        b"A: b", b"Host: a.test\r\nHost: b.test", b"Host: a.test\r\nHost: a.test",
        b"Host: a.test\r\nhost: b.test", b"Host:\r\nHost: a.test", b"Host: a.test, b.test",
        b"Host: a.test,", b"Host: a.test b.test", b"Host: a.test\tb.test", b"Host: u@a.test",
        b"Host: u:p@a.test", b"Host: a.test/row", b"Host: a.test?b", b"Host: a.test#b",
        b"Host: a.test\\b", b"Host: http://a.test", b"Host: a.test:80:81", b"Host: a.test:b",
        b"Host: a.test:-1", b"Host: a.test:80@b.test", b"Host: :80", b"Host: ::1", b"Host: [::1",
        b"Host: [::1]b", b"Host: [a]", b"Host: [::1]:b", b"Host: a%2", b"Host: a%zz", b"Host: <a>",
        b"Host: \"a.test\"", b"Host: a|b", b"Host: \xc3\xa4.test", b"Host: a.test\0",
        b"Host : a.test", b"Host: a.test\r\n b.test", b" Host: a.test",
        b"Host: a.test\rHost: b.test", b"Host\0: a.test",
    ]),
    ("host", "GET http://a.test/row HTTP/1.1\r\n", END, 400, &[
        b"A: b", b"Host: a.test\r\nHost: b.test", b"Host: u@a.test",
    ]),
    ("host", "GET /row HTTP/1.0\r\n", END, 400, &[
        b"Host: a.test\r\nHost: b.test", b"Host: a.test/",
    ]),
    ("content-length", POST, "\r\n\r\nhello", 400, &[
        b"Content-Length:", b"Content-Length: ", b"Content-Length: +5", b"Content-Length: -5",
        b"Content-Length: -0", b"Content-Length: 0x5", b"Content-Length: 5h",
        b"Content-Length: 5.0", b"Content-Length: 5e0", b"Content-Length: 1_0",
        b"Content-Length: 5 5", b"Content-Length: 5,5", b"Content-Length: 5, 5",
        b"Content-Length: 5, 6", b"Content-Length: 5,", b"Content-Length: ,5",
        b"Content-Length: 5;", b"Content-Length: \"5\"", b"Content-Length: '5'",
        b"Content-Length: abc", b"Content-Length: \xb2", b"Content-Length: \xd9\xa5",
        b"Content-Length: \x0b5", b"Content-Length: 5\x0b", b"Content-Length: 5\x0c",
        b"Content-Length: 5\0", b"Content-Length: \x005", b"Content-Length: 5\rX: y",
        b"Content-Length: 5\nX: y", b"Content-Length: 18446744073709551616",
        b"Content-Length: 99999999999999999999999999", b"Content-Length: 5\r\nContent-Length: 6",
        b"Content-Length: 6\r\nContent-Length: 5", b"Content-Length: 5\r\ncontent-length: 05",
        b"Content-Length: 5\r\nContent-Length:", b"Content-Length : 5", b"Content-Length\t: 5",
        b"Content-Length\0: 5", b"Content-Length\x0b: 5", b" Content-Length: 5",
        b"A: b\r\n Content-Length: 5", b"Content Length: 5", b"Content-Length abcde: 5",
        b"Content-Length=5", b"Content-Length:\r\n 5", b"Content-Length: 5\r\n 6",
        b"Content_Length: 5", b"content.length: 5", b"Content-Length: 5\r\nContent_Length: 6",
    ]),
    ("transfer-encoding", POST, "\r\n\r\n0\r\n\r\n", 400, &[
        b"Transfer-Encoding:", b"Transfer-Encoding: x", b"Transfer-Encoding: gzip",
        b"Transfer-Encoding: identity", b"Transfer-Encoding: xchunked",
        b"Transfer-Encoding: chunkedx", b"Transfer-Encoding: chunked-ish",
        b"Transfer-Encoding: chunke", b"Transfer-Encoding: chunked, gzip",
        b"Transfer-Encoding: chunked, identity", b"Transfer-Encoding: chunked, chunked",
        b"Transfer-Encoding: chunked,chunked", b"Transfer-Encoding: chunked,",
        b"Transfer-Encoding: ,chunked", b"Transfer-Encoding: , chunked ,",
        b"Transfer-Encoding: chunked;", b"Transfer-Encoding: chunked;x=y",
        b"Transfer-Encoding: chunked; q=0.5", b"Transfer-Encoding: \"chunked\"",
        b"Transfer-Encoding: 'chunked'", b"Transfer-Encoding: chunked\0",
        b"Transfer-Encoding: \0chunked", b"Transfer-Encoding: \x0bchunked",
        b"Transfer-Encoding: chunked\x0b", b"Transfer-Encoding: \x0cchunked",
        b"Transfer-Encoding: chunked\x0c", b"Transfer-Encoding: chunked\x08",
        b"Transfer-Encoding: \xa0chunked", b"Transfer-Encoding: chunked\xa0",
        b"Transfer-Encoding: chun\xe2\x80\x8bked", b"Transfer-Encoding: chunked chunked",
        b"Transfer-Encoding: chunked x", b"Transfer-Encoding: (x) chunked x",
        b"Transfer-Encoding : chunked", b"Transfer-Encoding\t: chunked",
        b"Transfer-Encoding\0: chunked", b"Transfer-Encoding\x0b: chunked",
        b" Transfer-Encoding: chunked", b"\tTransfer-Encoding: chunked",
        b"\x0bTransfer-Encoding: chunked", b"A: b\r\n Transfer-Encoding: chunked",
        b"A: b\nTransfer-Encoding: chunked", b"A: b\rTransfer-Encoding: chunked",
        b"Transfer-Encoding\n: chunked", b"Transfer-Encoding\r\n : chunked",
        b"Transfer-Encoding:\r\n chunked", b"Transfer-Encoding:\n chunked",
        b"Transfer-Encoding: chunked\r\n x", b"Transfer Encoding: chunked",
        b"Transfer-Encoding chunked", b"Transfer-Encoding= chunked", b"Transfer_Encoding: chunked",
        b"transfer.encoding: chunked", b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: x",
        b"Transfer-Encoding: x\r\nTransfer-Encoding: chunked",
        b"Transfer-Encoding: chunked\r\nTransfer-encoding: identity",
        b"Transfer-Encoding:\r\nTransfer-Encoding: chunked",
        b"Transfer-Encoding: chunked\r\nTransfer_Encoding: x",
    ]),
    ("transfer-encoding", POST, "\r\n\r\n0\r\n\r\n", 501, &[
        b"Transfer-Encoding: gzip, chunked", b"Transfer-Encoding: identity, chunked",
        b"Transfer-Encoding: x, chunked", b"Transfer-Encoding: gzip;q=1,\tchunked",
    ]),
    ("both lengths", POST, "\r\n\r\n0\r\n\r\n", 400, &[
        b"Content-Length: 5\r\nTransfer-Encoding: chunked",
        b"Transfer-Encoding: chunked\r\nContent-Length: 5",
        b"Content-Length: 0\r\nTransfer-Encoding: chunked",
        b"Content-Length: 5\r\nTransfer-Encoding: x",
        b"Content-Length: x\r\nTransfer-Encoding: chunked",
        b"Content-Length: 5\r\nTransfer-Encoding:",
        b"Content-Length: 5\r\nA: b\r\nTransfer-Encoding: Chunked",
        b"Content-Length: 5\r\nTransfer_Encoding: chunked",
        b"Content_Length: 5\r\nTransfer-Encoding: chunked",
        b"Content-Length: 5\r\n Transfer-Encoding: chunked",
        b"A:\r\n Content-Length: 5\r\nTransfer-Encoding: chunked",
        b"Connection: Content-Length\r\nContent-Length: 5\r\nTransfer-Encoding: chunked",
    ]),
    ("both lengths", "POST /row HTTP/1.0\r\nHost: a.test\r\n", "\r\n\r\n0\r\n\r\n", 400, &[
        b"Transfer-Encoding: chunked", b"Connection: keep-alive\r\nTransfer-Encoding: chunked",
        b"Content-Length: 5\r\nTransfer-Encoding: chunked", b"Transfer-Encoding: gzip, chunked",
    ]),
    ("chunk size", CHUNKED, "\r\nhello\r\n0\r\n\r\n", 400, &[
        b"", b"+5", b"-5", b" 5", b"\t5", b"5 ", b"5\t", b"5 5", b"0x5", b"0X5", b"#5", b"5h", b"g",
        b"5_", b"1_0", b"5,", b"5.", b"5\0", b"\x005", b"5\x0b", b"5\x0c", b"\xb5", b"5\xa0",
        b"\"5\"", b"00000000000000005", b"10000000000000005", b"fffffffffffffffff", b"5 \0;x",
        b"5:x", b"5=x", b"-0", b"five", b"\r\n5", b"\n5",
    ]),
    ("chunk line", CHUNKED, "hello\r\n0\r\n\r\n", 400, &[
        b"5\n", b"5\r", b"5\r\r\n", b"5\n\r\n", b"5\rX\r\n", b"5;\n", b"5;x\n", b"5;\r",
        b"5;x\rX\r\n", b"5;x\nX\r\n", b"5;\0\r\n", b"5;x=\"\x01\"\r\n", b"5;x=\"\n\"\r\n",
        b"5;\x7f\r\n", b"5;x\r\r\n", b"5 \n", b"5;x\x0b\r\n", b"5 x\r\n", b"5\tx=y\r\n",
    ]),
    ("chunk end", CHUNKED, "0\r\n\r\n", 400, &[
        b"5\r\nhello", b"5\r\nhello\n", b"5\r\nhello\r", b"5\r\nhello\n\r", b"5\r\nhello \r\n",
        b"5\r\nhello!\r\n", b"4\r\nhello\r\n", b"5\r\nhello\r\r\n", b"5\r\nhelloXX",
        b"5\r\nhello\0\0", b"5\r\nhello;\r\n", b"5\r\nhello\r\n\r\n",
    ]),
    ("trailer", CHUNKED, "\r\n\r\n", 400, &[
        b"0\r\nA", b"0\r\nA: b\n", b"0\r\nA: b\rC: d", b"0\r\nA: b\nC: d", b"0\r\n A: b",
        b"0\r\nA: b\r\n c", b"0\r\nA : b", b"0\r\n: b", b"0\r\nA: \0", b"0\r\nA: \x01",
        b"0\r\nA(: b", b"0\r\n\n", b"0\r\n\r", b"0\n", b"0\r", b"0\r\n\x00",
        b"0\r\nGET /behind HTTP/1.1", b"0\r\n5\r\nhello", b"00000000000000000",
    ]),
    ("not served", "", "", 405, &[
        b"CONNECT a.test:443 HTTP/1.1\r\nHost: a.test:443\r\n\r\n",
        b"CONNECT / HTTP/1.1\r\nHost: a.test\r\n\r\n",
    ]),
    ("not served", GET, END, 417, &[
        b"Expect: 200-ok", b"Expect: 100-continue, x", b"Expect: 100-continue\r\nExpect: x",
        b"Expect: \"100-continue\"",
    ]),
];
