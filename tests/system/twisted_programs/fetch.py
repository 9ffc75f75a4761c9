"""Fetches pages with treq, over kept connections, and says what came: python fetch.py URL [CERTIFICATE]."""

import sys
from pathlib import Path

import treq
from twisted.internet.defer import gatherResults
from twisted.internet.ssl import Certificate
from twisted.internet.task import react
from twisted.web.client import Agent, BrowserLikePolicyForHTTPS, HTTPConnectionPool


async def main(reactor, url, *certificate):
    trust = Certificate.loadPEM(Path(certificate[0]).read_bytes()) if certificate else None
    pool = HTTPConnectionPool(reactor)
    client = treq.client.HTTPClient(Agent(reactor, BrowserLikePolicyForHTTPS(trust), pool=pool))
    responses = await gatherResults([client.get(f"{url}/{number}") for number in range(20)])
    titles = [(await response.text()).partition("</title>")[0].rpartition(" ")[2] for response in responses]
    print("pages", *titles)
    posted = bytes(range(256)) * 2000
    response = await client.post(f"{url}/form", data=posted)
    print("posted", response.code, await response.content() == posted)
    print("slow", await (await client.get(f"{url}/slow")).text())
    print("missing", (await client.get(f"{url}/500")).code)
    await pool.closeCachedConnections()


if __name__ == "__main__":
    react(main, sys.argv[1:])
