"""A Klein site of plain pages, pages that take their time, and JSON: python klein_site.py ENDPOINT."""

import json
import sys

from klein import Klein
from twisted.internet import reactor
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread

app = Klein()


@app.route("/")
def plain(request):
    return b"Hello, world!"


@app.route("/later")
def later(request):
    return deferLater(reactor, 0.01, lambda: b"later")


@app.route("/thread/<int:number>")
async def thread(request, number):
    return str(await deferToThread(pow, number, 2))


@app.route("/sum", methods=["POST"])
def total(request):
    request.setHeader("Content-Type", "application/json")
    return json.dumps({"sum": sum(json.load(request.content))})


if __name__ == "__main__":
    app.run(endpoint_description=sys.argv[1], logFile=sys.stdout)
