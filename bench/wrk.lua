-- Prints one JSON line; with UPLOAD_BYTES set, every request carries a body of that size.
local upload = tonumber(os.getenv("UPLOAD_BYTES") or "0")
if upload > 0 then
  wrk.method = "POST"
  wrk.headers["Content-Type"] = "application/octet-stream"
  wrk.body = string.rep("u", upload)
end
-- With VARIES set, the requests of an SDK in turn: no head equals the one before it.
local requests = {}
local turn = 0
local function sdk_request(n)
  local body = '{"model":"m","messages":[{"role":"user","content":"' .. string.rep("x", 100 + n) .. '"}]}'
  return wrk.format("POST", nil, {
    ["Host"] = wrk.headers["Host"],
    ["Accept"] = "application/json", ["Accept-Encoding"] = "gzip, deflate", ["Connection"] = "keep-alive",
    ["Content-Type"] = "application/json", ["User-Agent"] = "OpenAI/Python 3.52.0",
    ["Authorization"] = "Bearer bench-key", ["X-Stainless-Lang"] = "python",
    ["X-Stainless-Package-Version"] = "3.52.0", ["X-Stainless-OS"] = "Linux",
    ["X-Stainless-Arch"] = "x64", ["X-Stainless-Runtime"] = "CPython",
    ["X-Stainless-Runtime-Version"] = "3.11.7", ["X-Stainless-Async"] = "async:asyncio",
    ["x-stainless-retry-count"] = "0", ["x-stainless-read-timeout"] = "600",
    ["traceparent"] = string.format("00-%032x-%016x-01", 4096 + n, 256 + n),
  }, body)
end
if os.getenv("VARIES") == "1" then
  function init(args)
    for n = 1, 256 do requests[n] = sdk_request(n) end
  end
  function request()
    turn = turn % 256 + 1
    return requests[turn]
  end
end
function done(summary, latency, requests)
  local e = summary.errors
  io.write(string.format(
    '\n{"requests":%d,"duration_us":%d,"bytes":%d,"connect":%d,"read":%d,"write":%d,"status":%d,"timeout":%d,'
    .. '"p50_us":%d,"p90_us":%d,"p99_us":%d,"max_us":%d,"mean_us":%.2f}\n',
    summary.requests, summary.duration, summary.bytes, e.connect, e.read, e.write, e.status, e.timeout,
    latency:percentile(50), latency:percentile(90), latency:percentile(99), latency.max, latency.mean))
end
