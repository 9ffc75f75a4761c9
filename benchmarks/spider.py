"""A spider of Scrapy's that follows every link of a site, and prints what that took: -a start=URL."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import scrapy


class Follows(scrapy.Spider):  # type: ignore[misc]
    name = "follows"
    custom_settings = {
        "LOG_LEVEL": "WARNING",
        "TELNETCONSOLE_ENABLED": False,
        "CONCURRENT_REQUESTS_PER_DOMAIN": 16,
        "DOWNLOAD_DELAY": 0,
    }

    def __init__(self, start: str) -> None:
        super().__init__()
        self.start_urls = [start]
        self.titles: set[str] = set()
        self.began = time.monotonic(), time.process_time()

    def parse(self, response: Any) -> Iterator[Any]:
        self.titles.add(response.css("title::text").get())
        yield from response.follow_all(css="a", callback=self.parse)

    def closed(self, reason: str) -> None:
        seconds, cpu_seconds = time.monotonic() - self.began[0], time.process_time() - self.began[1]
        print(json.dumps({"pages": len(self.titles), "seconds": seconds, "cpu_seconds": cpu_seconds}))
