-- How wrk asks, for bench.load; its arguments: HOW PATH CURSOR
--
--   same     the same question each time
--   follow   as an open page does: the cursor of the last answer goes behind the path
--   apart    each question is told from all others by a parameter that means nothing

local asked = 0

function init(arguments)
   local how, path, cursor = arguments[1], arguments[2], arguments[3]
   if how == "follow" then
      request = function()
         return wrk.format("GET", path .. cursor)
      end
      response = function(status, headers)
         cursor = headers["Feedmirror-Cursor"] or headers["feedmirror-cursor"] or cursor
      end
   elseif how == "apart" then
      request = function()
         asked = asked + 1
         return wrk.format("GET", path .. "&_=" .. asked)
      end
   end
end

function done(summary, latency)
   local errors = summary.errors
   io.write(string.format(
      '{"answers": %d, "seconds": %.6f, "received": %d, "failed": %d, "p50_s": %.6f, "p99_s": %.6f}\n',
      summary.requests, summary.duration / 1e6, summary.bytes,
      errors.connect + errors.read + errors.write + errors.status + errors.timeout,
      latency:percentile(50) / 1e6, latency:percentile(99) / 1e6))
end
