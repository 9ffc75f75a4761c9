"""A spider that follows every link of a site: scrapy runspider spider.py -a start=URL -O pages.json."""

import scrapy


class Follows(scrapy.Spider):
    name = "follows"
    custom_settings = {"TELNETCONSOLE_ENABLED": False, "CONCURRENT_REQUESTS_PER_DOMAIN": 16}

    def __init__(self, start, **options):
        super().__init__(**options)
        self.start_urls = [start]

    def parse(self, response):
        yield {"title": response.css("title::text").get()}
        yield from response.follow_all(css="a", callback=self.parse)
