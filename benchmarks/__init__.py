"""The benchmarks: Ropewalk beside a bare C server, uvloop, asyncio and Twisted, in one run (`make bench`)."""
