"""Plays the Autobahn WebSocket cases, as a client, against an echo server.

    python autobahn_cases.py --suite target/test-tools/python [--cases 1.*,7.1.6] ws://HOST:PORT/

The suite is what prepare_autobahn.py wrote. Each case is one connection: it sends what the
protocol allows or forbids, and judges the answer (`behavior`) and how the connection ended
(`behaviorClose`). Exit status 0 means: every case was played and is OK, or is named below as
informational. Beyond the suite's own judgement the echoed bytes of the 9.* cases are compared,
of which the suite looks at the length alone.

The cases and their library know bytes as strings of Latin-1 characters; `as_bytes` and `as_text`
stand wherever the two meet.
"""

import argparse
import codecs
import collections
import re
import sys
import time
from urllib.parse import urlsplit

# Every case of these groups: 12.* and 13.* test a compression extension that the server does
# not offer, 8.* and 11.* do not exist.
ALL_CASES = "1.*,2.*,3.*,4.*,5.*,6.*,7.*,9.*,10.*"
# How many those are. A suite that lost cases in its conversion must not pass.
ALL_CASES_COUNT = 301

# The suite gives these no right answer: a second close frame with much data before it (7.1.6),
# close codes beyond the registered range (7.13).
INFORMATIONAL = {"7.1.6", "7.13.1", "7.13.2"}
# Cases allowed to be late instead of fail-fast, with the reason. None.
NON_STRICT = {}

# No case of the shipped server needs more than a few seconds. The limit that the suite itself
# gives some of them, 1000 s, would hide that the server hangs.
CASE_SECONDS_MAX = 60
# All cases together: 19 s were measured. Past this the rest counts as not played.
RUN_SECONDS_MAX = 240


def as_bytes(value):
    return value.encode("latin-1") if isinstance(value, str) else value


def as_text(value):
    return value.decode("latin-1") if isinstance(value, (bytes, bytearray)) else value


class Utf8Validator:
    """The library's validator, on the interpreter's decoder: theirs takes seconds for a MiB."""

    def __init__(self):
        self.reset()

    def reset(self):
        self.decoder = codecs.getincrementaldecoder("utf-8")()
        self.total = 0

    def validate(self, data):
        """Returns (valid so far, ends on a code point, bytes taken, bytes taken in total)."""
        data = as_bytes(data)
        self.total += len(data)
        try:
            self.decoder.decode(data)
        except UnicodeDecodeError:
            return False, False, len(data), self.total
        return True, not self.decoder.getstate()[0], len(data), self.total


class XorMasker:
    """The library's masker, on whole numbers: theirs walks through the bytes one by one."""

    def __init__(self, mask, length=None):
        self.mask = bytes(mask)
        self.at = 0

    def pointer(self):
        return self.at

    def reset(self):
        self.at = 0

    def process(self, data):
        turn = self.at % 4
        key = ((self.mask[turn:] + self.mask[:turn]) * (len(data) // 4 + 1))[: len(data)]
        self.at += len(data)
        masked = int.from_bytes(data, "big") ^ int.from_bytes(key, "big")
        return masked.to_bytes(len(data), "big")


def load_suite(folder):
    """Imports library and cases with the replacements above. Returns {id: case class}."""
    sys.path.insert(0, folder)
    import txaio

    txaio.use_twisted()
    import autobahn.websocket.utf8validator

    autobahn.websocket.utf8validator.Utf8Validator = Utf8Validator
    import autobahn.websocket.protocol

    autobahn.websocket.protocol.createXorMasker = XorMasker
    from autobahn_suite.case import Case, Cases

    # Pickled forms differ between equal values when strings are shared.
    Case.compare = lambda self, one, other: one == other
    return {c.__name__.removeprefix("Case").replace("_", "."): c for c in Cases}


def case_number(case_id):
    return [int(part) for part in case_id.split(".")]


def select(cases, patterns):
    """The ids that any of the patterns names, in order. A pattern without a case is an error."""
    chosen = set()
    for pattern in patterns.split(","):
        expression = re.compile(re.escape(pattern).replace(r"\*", ".*"))
        found = [case_id for case_id in cases if expression.fullmatch(case_id)]
        if not found:
            sys.exit(f"no case is named {pattern}")
        chosen.update(found)
    return sorted(chosen, key=case_number)


def make_client_class():
    """The client that a case drives. A function, for its base exists only after load_suite."""
    from autobahn.twisted.websocket import WebSocketClientProtocol as Base
    from twisted.internet import reactor

    class CaseClient(Base):
        def connectionMade(self):
            self.connectionWasOpen = False
            self.createWirelog = False
            self.rxFrameStats = collections.Counter()
            self.txFrameStats = collections.Counter()
            self.sent_repeated = None
            super().connectionMade()

        # What the cases call.

        def sendFrame(self, opcode, payload=b"", payload_len=None, **rest):
            if payload_len is not None:
                self.sent_repeated = (as_bytes(payload), payload_len)
            return super().sendFrame(opcode, as_bytes(payload), payload_len=payload_len, **rest)

        def sendMessage(self, payload, *args, **rest):
            self.sent_repeated = (as_bytes(payload), len(payload))
            return super().sendMessage(as_bytes(payload), *args, **rest)

        def sendData(self, data, *args, **rest):
            return super().sendData(as_bytes(data), *args, **rest)

        def sendPing(self, payload=None):
            return super().sendPing(as_bytes(payload))

        def sendPong(self, payload=None):
            return super().sendPong(as_bytes(payload))

        def sendMessageFrameData(self, payload, *args, **rest):
            return super().sendMessageFrameData(as_bytes(payload), *args, **rest)

        def sendCloseFrame(self, code=None, reasonUtf8=None, isReply=False):
            return super().sendCloseFrame(code, as_bytes(reasonUtf8), isReply)

        def _later(self, delay, action):
            def act():
                if self.state != Base.STATE_CLOSED:
                    action()

            reactor.callLater(delay, act)

        def continueLater(self, delay, action, tag=None):
            self._later(delay, action)

        def killAfter(self, delay):
            self._later(delay, self.failConnection)

        def closeAfter(self, delay):
            self._later(delay, self.sendClose)

        def enableWirelog(self, enable):
            pass

        # What the library calls.

        def logRxOctets(self, data):
            pass

        def logTxOctets(self, data, sync):
            pass

        def logRxFrame(self, header, payload):
            self.rxFrameStats[header.opcode] += 1

        def logTxFrame(self, header, *args):
            self.txFrameStats[header.opcode] += 1

        def onOpen(self):
            self.connectionWasOpen = True
            self.runCase.onOpen()

        def onMessage(self, payload, isBinary):
            self.runCase.onMessage(as_text(payload), isBinary)
            if self.factory.compares_echo:
                self.compare_echo(payload)

        def compare_echo(self, payload):
            part, length = self.sent_repeated
            if payload != (part * (length // len(part) + 1))[:length]:
                self.runCase.behavior = "FAILED"
                self.runCase.result = "The echoed bytes differ from those sent."

        def onPing(self, payload):
            self.runCase.onPing(as_text(payload))
            self.sendPong(payload)

        def onPong(self, payload):
            self.runCase.onPong(as_text(payload))

        def onClose(self, wasClean, code, reason):
            self.runCase.onClose(wasClean, code, reason)

        def connectionLost(self, reason):
            super().connectionLost(reason)
            self.runCase.onConnectionLost(self.failedByMe)

    return CaseClient


Verdict = collections.namedtuple("Verdict", "id behavior close result description seconds")


class Run:
    """Plays the chosen cases, one after the other, and collects a verdict of each."""

    def __init__(self, url, cases, chosen):
        from twisted.internet import reactor

        self.reactor = reactor
        self.url = url
        self.cases = cases
        self.chosen = chosen
        self.waiting = collections.deque(chosen)
        self.verdicts = {}
        self.over = False
        self.client_class = make_client_class()

    def play(self):
        self.reactor.callWhenRunning(self.start_next)
        self.reactor.callLater(RUN_SECONDS_MAX, self.give_up)
        self.reactor.run()

    def start_next(self):
        if self.over:
            return
        if len(self.verdicts) == len(self.chosen):
            self.reactor.stop()
        elif self.waiting:
            self.connect(self.waiting.popleft())

    def give_up(self):
        for case_id in self.chosen:
            words = self.cases[case_id].DESCRIPTION
            lost = Verdict(case_id, "NOT FINISHED", "", "The whole run took too long.", words, 0)
            self.verdicts.setdefault(case_id, lost)
        self.over = True
        self.reactor.stop()

    def connect(self, case_id):
        from autobahn.twisted.websocket import WebSocketClientFactory

        case_class = self.cases[case_id]
        factory = WebSocketClientFactory(url=self.url)
        factory.logOctets = factory.logFrames = True
        factory.compares_echo = case_id.startswith("9.")
        # Close by handshake where the peer errs: it shall show that it answers.
        factory.setProtocolOptions(failByDrop=False)
        started = time.monotonic()
        case = None
        timed_out = False

        def build(address):
            nonlocal case
            client = self.client_class()
            client.factory = factory
            client.runCase = case = case_class(client)
            return client

        def expire():
            nonlocal timed_out
            timed_out = True
            connector.disconnect()
            if case is not None:
                case.p.transport.abortConnection()

        def ended(connector, reason):
            if timer.active():
                timer.cancel()
            seconds = time.monotonic() - started
            words = " ".join(case_class.DESCRIPTION.split("<br>")[0].split())
            if case is None:
                verdict = Verdict(case_id, "NOT CONNECTED", "", str(reason.value), words, seconds)
            elif timed_out:
                verdict = Verdict(case_id, "TIMED OUT", "", case.result, words, seconds)
            else:
                results = f"{case.result} {case.resultClose}"
                verdict = Verdict(
                    case_id, case.behavior, case.behaviorClose, results, words, seconds
                )
            self.verdicts[case_id] = verdict
            self.start_next()

        factory.buildProtocol = build
        factory.clientConnectionLost = ended
        factory.clientConnectionFailed = ended
        timer = self.reactor.callLater(CASE_SECONDS_MAX, expire)
        address = urlsplit(self.url)
        connector = self.reactor.connectTCP(address.hostname, address.port, factory, timeout=10)


def is_accepted(verdict):
    if verdict.behavior == "INFORMATIONAL":
        return verdict.id in INFORMATIONAL
    if verdict.close not in ("OK", "INFORMATIONAL"):
        return False
    return verdict.behavior == "OK" or (
        verdict.behavior == "NON-STRICT" and verdict.id in NON_STRICT
    )


def report(run, seconds):
    """Prints what went wrong and a summary; returns the number of cases not accepted."""
    verdicts = sorted(run.verdicts.values(), key=lambda v: case_number(v.id))
    slowest = sorted(verdicts, key=lambda v: v.seconds, reverse=True)[:5]
    print("slowest: " + ", ".join(f"{v.id} {v.seconds:.1f} s" for v in slowest))
    failed = [v for v in verdicts if not is_accepted(v)]
    for v in failed:
        print(f"case {v.id}: {v.behavior}, close {v.close}, {v.seconds:.1f} s")
        print(f"    {v.description}\n    {v.result}")
    counts = collections.Counter(v.behavior for v in verdicts)
    counted = ", ".join(f"{count} {behavior}" for behavior, count in counts.most_common())
    print(f"autobahn: {len(verdicts)} cases in {seconds:.0f} s: {counted}; {len(failed)} failed")
    return len(failed)


def main():
    parser = argparse.ArgumentParser(description="Autobahn cases against an echo server")
    parser.add_argument("--suite", required=True, help="the folder prepare_autobahn.py wrote")
    parser.add_argument("--cases", default=ALL_CASES, help="patterns, separated by commas")
    parser.add_argument("url")
    arguments = parser.parse_args()

    cases = load_suite(arguments.suite)
    chosen = select(cases, arguments.cases)
    if arguments.cases == ALL_CASES and len(chosen) != ALL_CASES_COUNT:
        sys.exit(f"the suite has {len(chosen)} cases, not {ALL_CASES_COUNT}: was it cut?")
    started = time.monotonic()
    run = Run(arguments.url, cases, chosen)
    run.play()
    sys.exit(1 if report(run, time.monotonic() - started) else 0)


if __name__ == "__main__":
    main()
