#!/usr/bin/env python3
# SPDX-FileCopyrightText: The knell authors
# SPDX-License-Identifier: Apache-2.0
"""test_knell.py KNELL ROOT [TEST...]: tests of the Python package, and of the programs in
python/examples. Looks at its own children only."""

import asyncio
import contextlib
import datetime
import errno
import inspect
import os
import pathlib
import re
import select
import signal
import subprocess
import sys
import tempfile
import unittest

import knell

KNELL, ROOT = sys.argv[1], pathlib.Path(sys.argv[2])
EXAMPLES = ROOT / "python/examples"
PATIENCE = 120  # exceeded only after a failure


def observable():
    try:
        with knell.watch("exit"):
            return True
    except knell.Error:
        return False


CAN_OBSERVE = observable()
needs_events = unittest.skipUnless(CAN_OBSERVE, "events of all processes cannot be observed here")


@contextlib.contextmanager
def child(*command, **options):
    """A child that ends when its input is closed."""
    process = subprocess.Popen(command, stdin=subprocess.PIPE, **options)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


class Text(unittest.TestCase):
    def test_errors_are_exceptions_with_the_text_of_the_library(self):
        with self.assertRaises(knell.Error) as raised:
            knell.watch("exex")
        self.assertIn("exec", raised.exception.strerror)
        with self.assertRaises(knell.Error):
            knell.watch("exit", via="pidfd", no_such_key=1)
        with self.assertRaises(ProcessLookupError):
            knell.Process(2**22)

    def test_wrong_arguments_are_named(self):
        for arguments, text in [({"details": "none"}, "details must be one of 'full', 'names', 'status', not 'none'"),
                                ({"start": "oldest"}, "start needs durable")]:
            with self.assertRaisesRegex(ValueError, text):
                knell.watch("exit", **arguments)
        with self.assertRaisesRegex(ValueError, "args must have the command"):
            knell.run([])

    def test_the_stubs_have_all_names(self):
        stub = (ROOT / "python/knell/__init__.pyi").read_text()
        for name in knell.__all__:
            self.assertRegex(stub, rf"(?m)^(class|(async )?def) {name}\b")
        for cls in (knell.Event, knell.KilledBy, knell.LastSignal):
            body = re.search(rf"(?ms)^class {cls.__name__}:\n(.*?)(?=^\S)", stub)[1]
            annotated = set(re.findall(r"^    (\w+):", body, re.M))
            slots = {s for s in cls.__slots__ if not s.startswith("_")}
            self.assertEqual(annotated, slots | set(cls._names) - {"from"})
        for cls in (knell.Watch, knell.Process, knell.Event):
            body = re.search(rf"(?ms)^class {cls.__name__}\b.*?:\n(.*?)(?=^\S)", stub)[1]
            public = {n for c in cls.__mro__[:-1] for n, v in vars(c).items()
                      if not n.startswith("_") and (inspect.isfunction(v) or isinstance(v, property))}
            self.assertEqual(public, {n for n in re.findall(r"def (\w+)", body) if n[0] != "_"})

    def test_the_fields_are_those_of_the_documented_json(self):
        fields = set()
        for row in re.findall(r"^\| (`.*)", (ROOT / "docs/fields.md").read_text(), re.M):
            cells = row.split(" | ")
            if cells[0].startswith("`knell") or len(cells) < 3:
                continue
            fields |= set(re.findall(r"`(\w+)`", cells[0] + cells[1]))
        renamed = {"name": "comm", "cmdline": "args", "username": "user", "terminal": "tty"}
        known = {renamed.get(name, name) for name in (*knell.Event._names, *knell.Event.__slots__)}
        of_python = {"ended", "cookie", "ancestry"}
        self.assertEqual(known - fields, of_python)
        nested = {*knell.KilledBy._names, *knell.LastSignal._names}
        types = {"fork", "exec", "sid", "ptrace", "coredump"}
        self.assertEqual(fields - known - nested - types, set())

    def test_version(self):
        self.assertEqual(knell.__version__, knell.version())
        out = subprocess.run([KNELL, "--version"], check=True, capture_output=True, text=True).stdout
        self.assertIn(knell.version(), out)

    def test_doctor(self):
        findings = knell.doctor()
        self.assertTrue(findings)
        self.assertLessEqual({f.level for f in findings}, {"ok", "warn", "no", "note"})

    def test_status_without_a_daemon(self):
        os.environ["KNELL_SOCKET"] = ""
        try:
            with self.assertRaises(knell.Error) as raised:
                knell.status()
            self.assertEqual(raised.exception.errno, errno.ENOENT)
        finally:
            del os.environ["KNELL_SOCKET"]


KNELLD = pathlib.Path(KNELL).with_name("knelld")


@unittest.skipUnless(os.geteuid() == 0 and KNELLD.exists() and CAN_OBSERVE, "needs root and knelld")
class WithDaemon(unittest.TestCase):
    """Starts a knelld of its own, which is used through KNELL_SOCKET."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        path = pathlib.Path(folder.name)
        # A shell with a unique name; otherwise events of other processes would be in flight, too
        self.shell = path / f"durable{os.getpid()}"
        self.shell.symlink_to("/bin/sh")
        (path / "config").write_text(f'[journal]\npath = "{path}/journal.db"\n')
        os.environ["KNELL_SOCKET"] = f"{path}/socket"
        self.addCleanup(os.environ.pop, "KNELL_SOCKET")
        daemon = subprocess.Popen([KNELLD, "--config", path / "config", "--socket", f"{path}/socket"],
                                  stderr=subprocess.PIPE, text=True)
        self.addCleanup(daemon.communicate)
        self.addCleanup(daemon.kill)
        while "listens on" not in daemon.stderr.readline():
            self.assertIsNone(daemon.poll())


class Added(WithDaemon):
    def test_many_processes_are_added_through_the_daemon(self):
        with contextlib.ExitStack() as children, knell.watch(
                "nonzero-exit", via="daemon", only_added=True) as events:
            workers = [children.enter_context(child("sh", "-c", "read x; exit 8")) for _ in range(70)]
            gone = subprocess.Popen(["true"])
            gone.wait()
            failed = events.add_many([*((w.pid, 0, 100 + i) for i, w in enumerate(workers)),
                                      gone.pid, (workers[0].pid,)])
            self.assertEqual([pid for pid, _ in failed], [gone.pid, workers[0].pid])
            self.assertIsInstance(failed[0][1], knell.NoSuchProcess)
            self.assertEqual(failed[1][1].errno, errno.EEXIST)
            for worker in workers:
                worker.stdin.close()
            ended = {}
            while len(ended) < len(workers):
                event = events.next(PATIENCE)
                self.assertEqual((event.type, event.exit_code), ("exit", 8))
                self.assertNotIn(event.pid, ended)
                ended[event.pid] = event.cookie
            self.assertEqual(ended, {w.pid: 100 + i for i, w in enumerate(workers)})


class Durable(WithDaemon):
    def open(self, **options):
        return knell.watch("nonzero-exit", durable="p", comm=self.shell.name, **options)

    def test_an_event_comes_again_until_the_next_one_was_asked_for(self):
        with self.open() as first:
            first.ack()  # subscribes
            for code in (91, 92, 93):
                subprocess.run([self.shell, "-c", f"exit {code}"])
            codes = []
            while len(codes) < 2:
                event = first.next(PATIENCE)
                codes.append(event.exit_code)
                self.assertFalse(event.redelivered)
            self.assertEqual(codes, [91, 92])
            first.ack()  # the acknowledgement of the first event is committed
        with self.open() as second:
            event = second.next(PATIENCE)
            self.assertEqual((event.exit_code, event.redelivered), (92, True))
            cursor = event.cursor
            self.assertEqual(second.next(PATIENCE).exit_code, 93)
            with self.assertRaises(knell.Error) as raised, self.open() as third:
                third.ack()
            self.assertEqual(raised.exception.errno, errno.EBUSY)
        with self.open(start=cursor) as third:
            self.assertEqual(third.next(PATIENCE).exit_code, 93)


class History(WithDaemon):
    def setUp(self):
        super().setUp()
        self.path = pathlib.Path(os.environ["KNELL_SOCKET"]).with_name("journal.db")
        self.between = []
        with knell.watch("nonzero-exit", durable="h", comm=self.shell.name) as events:
            events.ack()  # subscribes
            for code in (91, 92, 93):
                subprocess.run([self.shell, "-c", f"exit {code}"])
                self.assertEqual(events.next(PATIENCE).exit_code, code)
                self.between.append(datetime.datetime.now())
            events.ack()  # now the events are in the journal

    def codes(self, *events, **options):
        with knell.history(*events, path=self.path, comm=self.shell.name, **options) as past:
            return [event.exit_code for event in past if event.type == "exit"]

    def test_past_events(self):
        self.assertEqual(self.codes(), [91, 92, 93])
        self.assertEqual(self.codes("nonzero-exit", last=2), [92, 93])
        self.assertEqual(self.codes("exec"), [])
        self.assertEqual(self.codes(exit_code=92, this_boot=True), [92])

    def test_the_time_is_a_datetime_or_a_number(self):
        since, until = self.between[:2]
        self.assertEqual(self.codes(since=since, until=until), [92])
        self.assertEqual(self.codes(since=until.timestamp()), [93])
        self.assertEqual(self.codes(until=since.astimezone(datetime.timezone.utc)), [91])
        with self.assertRaisesRegex(knell.Error, "since_ns"):
            self.codes(since=-1)

    def test_read_says_that_there_are_no_more(self):
        with knell.history("nonzero-exit", path=self.path, comm=self.shell.name) as past:
            self.assertEqual([event.exit_code for event in past.read()], [91, 92, 93])
            with self.assertRaises(EOFError):
                past.read()

    def test_following_waits_for_more(self):
        async def follow():
            codes = []
            async with knell.history("nonzero-exit", path=self.path, comm=self.shell.name, last=1,
                                     follow=True) as past:
                async for event in past:
                    codes.append(event.exit_code)
                    if len(codes) == 2:
                        return codes
                    subprocess.run([self.shell, "-c", "exit 94"])
        self.assertEqual(asyncio.run(asyncio.wait_for(follow(), PATIENCE)), [93, 94])

    def test_there_is_no_journal(self):
        with self.assertRaises(knell.Error) as raised:
            knell.history(path=self.path.with_name("none"))
        self.assertEqual(raised.exception.errno, errno.ENOENT)


class OneProcess(unittest.TestCase):
    def test_names_are_those_of_psutil(self):
        me = knell.Process(os.getpid())
        self.assertEqual(me.ppid(), os.getppid())
        self.assertEqual(me.cwd(), os.getcwd())
        self.assertEqual(me.exe(), os.path.realpath(f"/proc/{me.pid}/exe"))
        self.assertEqual(me.cmdline()[1:], sys.orig_argv[1:])
        self.assertEqual(me.name(), pathlib.Path(f"/proc/{me.pid}/comm").read_text().rstrip())
        self.assertTrue(me.is_running())
        self.assertEqual(me, knell.Process(os.getpid()))

    def test_arguments_that_are_not_utf8_are_kept(self):
        with child("sh", "-c", "read x", b"\xff", "") as process:
            cmdline = knell.Process(process.pid).cmdline()
            self.assertEqual(os.fsencode(cmdline[-2]), b"\xff")
            self.assertEqual(cmdline[-1], "")

    def test_wait(self):
        with child("sh", "-c", "read x; exit 3") as process:
            waited = knell.Process(process.pid)
            with self.assertRaises(TimeoutError):
                waited.wait(0)
            process.stdin.close()
            self.assertEqual(waited.wait(PATIENCE), 3)
            process.wait()
            self.assertFalse(waited.is_running())

    def test_signal_handlers_run_while_it_waits(self):
        for wait in (lambda process: process.wait(PATIENCE),
                     lambda process: process.kill_and_wait(signal.SIGURG, PATIENCE)):  # ignored
            with child("sh", "-c", "read x; exit 3") as process:
                waited = knell.Process(process.pid)
                before = signal.signal(signal.SIGALRM, lambda *_: process.stdin.close())
                self.addCleanup(signal.signal, signal.SIGALRM, before)
                signal.setitimer(signal.ITIMER_REAL, 0.1)
                self.assertEqual(wait(waited), 3)

    def test_a_signal_handler_that_raises_ends_the_wait(self):
        with child("sh", "-c", "read x") as process:
            waited = knell.Process(process.pid)

            def interrupt(*_):
                raise KeyboardInterrupt

            before = signal.signal(signal.SIGALRM, interrupt)
            self.addCleanup(signal.signal, signal.SIGALRM, before)
            signal.setitimer(signal.ITIMER_REAL, 0.1)
            with self.assertRaises(KeyboardInterrupt):
                waited.wait()
            self.assertTrue(waited.is_running())

    def test_wait_takes_no_later_process_with_its_pid(self):
        ended = subprocess.Popen(["sleep", "1000"])
        waited = knell.Process(ended.pid)
        ended.kill()
        ended.wait()
        with contextlib.ExitStack() as children:
            def start_of(process):
                return knell.Process(process.pid).id.rpartition("-")[2]
            later = children.enter_context(child("sh", "-c", "read x; exit 3"))
            while start_of(later) == waited.id.rpartition("-")[2]:  # in the same tick of the clock
                later = children.enter_context(child("sh", "-c", "read x; exit 3"))
            waited.pid = later.pid  # as if it had been used again
            later.stdin.close()
            self.assertFalse(waited.is_running())
            with self.assertRaises(knell.NoSuchProcess):
                waited.wait(PATIENCE)

    def test_a_child_that_has_ended_and_is_not_reaped(self):
        process = subprocess.Popen(["sh", "-c", "exit 5"])
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        waited = knell.Process(process.pid)
        self.assertEqual((waited.name(), waited.info.type), ("sh", "exit"))
        self.assertFalse(waited.is_running())
        self.assertEqual(waited.wait(), 5)
        process.wait()
        with self.assertRaises(knell.NoSuchProcess):
            knell.Process(process.pid)

    @unittest.skipUnless(os.geteuid() == 0, "needs root, to become another user")
    def test_the_timeout_of_another_user_for_a_process_that_is_not_reaped(self):
        process = subprocess.Popen(["true"])
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        waiter = os.fork()
        if waiter == 0:
            status = 1
            try:
                os.setuid(65534)
                waited = knell.Process(process.pid)
                ended = asyncio.run(knell.wait(process.pid, 0))
                found = (waited.name(), waited.wait(0), ended.type, ended.ended)
                same = waited == knell.Process(process.pid)
                status = 0 if same and found == ("true", None, "exit", "unknown") else 2
            finally:
                os._exit(status)
        self.assertEqual(os.waitpid(waiter, 0), (waiter, 0))
        process.wait()

    def test_kill_and_wait(self):
        with child("sleep", "1000") as process:
            killed = knell.Process(process.pid)
            self.assertEqual(killed.kill_and_wait(signal.SIGTERM), -signal.SIGTERM)
            process.wait()
            with self.assertRaises(knell.NoSuchProcess):
                killed.kill_and_wait()

    def test_process_iter_shows_parents_first(self):
        with child("sleep", "1000") as process:
            pids = [p.pid for p in knell.process_iter(pid=[process.pid, os.getpid()])]
        self.assertEqual(pids, [os.getpid(), process.pid])


class Awaited(unittest.IsolatedAsyncioTestCase):
    async def test_exits_of_several_processes(self):
        with child("sh", "-c", "read x; exit 3") as one, child("sleep", "1000") as other:
            waits = [asyncio.ensure_future(knell.wait(p.pid, PATIENCE)) for p in (one, other)]
            await asyncio.sleep(0)
            one.stdin.close()
            first = await waits[0]
            self.assertFalse(waits[1].done())
            other.send_signal(signal.SIGKILL)
            second = await waits[1]
        self.assertEqual((first.pid, first.returncode, first.ended), (one.pid, 3, "exit 3"))
        self.assertEqual((second.pid, second.returncode, second.signal),
                         (other.pid, -signal.SIGKILL, "SIGKILL"))

    async def test_timeout_and_missing_process(self):
        with self.assertRaises(knell.TimeoutExpired):
            await knell.wait(os.getpid(), 0.01)
        with self.assertRaises(knell.NoSuchProcess):
            await knell.wait(2**22)

    async def test_cancelling_leaves_the_watch_usable(self):
        async with knell.watch("exit", via="pidfd") as events:
            with child("sh", "-c", "read x; exit 4") as process:
                events.add(process.pid, cookie=9)
                waiting = asyncio.ensure_future(events.__anext__())
                await asyncio.sleep(0)
                waiting.cancel()
                with self.assertRaises(asyncio.CancelledError):
                    await waiting
                process.stdin.close()
                async for event in events:
                    break
        self.assertEqual((event.pid, event.exit_code, event.cookie), (process.pid, 4, 9))
        self.assertTrue(events.closed)
        with self.assertRaises(ValueError):
            events.fileno()

    async def test_starts_no_thread(self):
        before = len(os.listdir("/proc/self/task"))
        with child("true") as process:
            await knell.wait(process.pid, PATIENCE)
        self.assertEqual(len(os.listdir("/proc/self/task")), before)


class Watched(unittest.TestCase):
    def test_events_of_added_processes(self):
        with knell.watch("nonzero-exit", via="pidfd") as events:
            self.assertEqual(events.read(), [])
            with self.assertRaises(TimeoutError):
                events.next(timeout=0.01)
            with child("sh", "-c", "read x; exit 7") as process:
                events.add(process.pid)
                with self.assertRaises(knell.Error) as raised:
                    events.add(process.pid)
                self.assertEqual(raised.exception.errno, errno.EEXIST)
                process.stdin.close()
                event = next(events)
            self.assertEqual((event.type, event.pid, event.ended), ("exit", process.pid, "exit 7"))
            self.assertIsNone(event.killed_by)
            self.assertIsNone(event.new_comm)
            self.assertEqual(event.as_dict()["exit_code"], 7)
            self.assertRaises(AttributeError, getattr, event, "comm")
            self.assertEqual(events.stats().shown, 1)
            with self.assertRaises(knell.Error):
                events.remove(process.pid)

    def test_many_processes_are_added_at_once(self):
        with knell.watch("exit", via="pidfd") as events, child("sh", "-c", "read x; exit 3") as one, \
                child("sh", "-c", "read x; exit 4") as other:
            self.assertEqual(events.add_many([]), [])
            failed = events.add_many([(one.pid, 0, 5), 2**22, other.pid, one.pid])
            self.assertEqual([(pid, error.errno) for pid, error in failed],
                             [(2**22, errno.ESRCH), (one.pid, errno.EEXIST)])
            one.stdin.close()
            self.assertEqual((next(events).cookie, one.wait()), (5, 3))
            other.stdin.close()
            self.assertEqual((next(events).cookie, other.wait()), (0, 4))
        with self.assertRaises(ValueError):
            events.add_many([one.pid])

    def test_a_forked_child_is_refused(self):
        with knell.watch("exit", via="pidfd") as events:
            pid = os.fork()
            if pid == 0:
                try:
                    events.read()
                except knell.Error as error:
                    os._exit(7 if "fork" in error.strerror else 1)
                os._exit(2)
            self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), 7)

    @needs_events
    def test_predicates_and_who_killed_it(self):
        with knell.watch("nonzero-exit", comm=["sleep", "no-such"], under=os.getpid()) as events:
            with child("sleep", "1000") as process:
                # Kill it only when it has become sleep; before that it is the fork of python.
                while knell.Process(process.pid).name() != "sleep":
                    pass
                process.send_signal(signal.SIGTERM)
                event = events.next(PATIENCE)
        self.assertEqual((event.pid, event.signal, event.core_dumped),
                         (process.pid, "SIGTERM", False))
        self.assertEqual(event.name, "sleep")
        if event.killed_by is not None:
            self.assertEqual((event.killed_by.pid, event.killed_by.cause), (os.getpid(), "user"))

    @needs_events
    def test_a_recording(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "recording")
            with child("sh", "-c", "read x; exit 7") as process:
                with subprocess.Popen([KNELL, "record", "-e", "exit", "--pid", str(process.pid),
                                       "-n", "1", path], stderr=subprocess.PIPE, text=True) as record:
                    record.stderr.readline()  # it receives events from here on
                    process.stdin.close()
                    _, errors = record.communicate(timeout=PATIENCE)
            self.assertEqual(record.returncode, 0, errors)
            with knell.replay(path) as events:
                self.assertEqual([e.exit_code for e in events], [7])
            async def read():
                async with knell.replay(path, comm="no-such") as events:
                    return [e async for e in events]
            self.assertEqual(asyncio.run(read()), [])


@needs_events
class Run(unittest.TestCase):
    def test_report(self):
        report = knell.run(["sh", "-c", "sh -c 'exit 4'; sh -c 'kill -SEGV $$'; exit 2"], knell=KNELL)
        self.assertEqual(report.returncode, 2)
        self.assertEqual(sorted(f.ended.split()[0] for f in report.failures), ["SIGSEGV", "exit"])
        self.assertEqual((report.failed, report.lost), (2, 0))
        self.assertGreaterEqual(report.processes, 3)
        self.assertTrue(all(f.ancestry.startswith("sh <- ") for f in report.failures))
        with self.assertRaises(subprocess.CalledProcessError):
            report.check_returncode()

    def test_only_exits_are_failures(self):
        report = knell.run(["sh", "-c", "/bin/true; /bin/false; true"], events="exec,exit", knell=KNELL)
        self.assertIn("exec", {event.type for event in report.events})
        self.assertEqual([(f.type, f.name) for f in report.failures], [("exit", "false")])
        self.assertEqual(report.failed, 1)

    def test_an_exit_of_unknown_status_is_a_failure(self):
        exits = [knell.Event({"type": "exit", "wait_status": status}) for status in (0, None, 256)]
        report = knell.Report([], 0, [*exits, knell.Event({"type": "exec"})], {})
        self.assertEqual(report.failures, exits[1:])

    def test_a_program_without_arguments(self):
        self.assertEqual(knell.run("true", knell=KNELL).returncode, 0)

    def test_a_command_that_cannot_be_run(self):
        with self.assertRaises(RuntimeError):
            knell.run(["/no/such/program"], knell=KNELL, stderr=subprocess.DEVNULL)


class Examples(unittest.TestCase):
    """Each program in python/examples has a test with its name."""

    def start(self, program, *arguments, **options):
        return subprocess.Popen([sys.executable, EXAMPLES / f"{program}.py", *arguments],
                                stdout=subprocess.PIPE, text=True,
                                env={**os.environ, "PATH": f"{os.path.dirname(KNELL)}:{os.environ['PATH']}"},
                                **options)

    @staticmethod
    def holds_pidfd(holder, pid):
        for info in pathlib.Path(f"/proc/{holder}/fdinfo").iterdir():
            with contextlib.suppress(OSError):
                if re.search(rf"(?m)^Pid:\s*{pid}$", info.read_text()):
                    return True
        return False

    def lines(self, program, *arguments):
        with self.start(program, *arguments) as ran:
            out, _ = ran.communicate(timeout=PATIENCE)
        return ran.returncode, out.splitlines()

    def until_it_prints(self, program, cause, pattern):
        """Causes events until the program prints a matching line: the program does not receive events
        from before its subscription."""
        with self.start(program, stdin=subprocess.PIPE) as ran:
            poll = select.poll()
            poll.register(ran.stdout, select.POLLIN)
            for _ in range(PATIENCE * 10):
                cause()
                while poll.poll(100):
                    line = ran.stdout.readline()
                    self.assertNotEqual(line, "", "it ended")
                    if re.search(pattern, line):
                        ran.stdin.close()
                        ran.send_signal(signal.SIGTERM)
                        return
            self.fail(f"{program} printed no line like {pattern}")

    @needs_events
    def test_failures(self):
        self.until_it_prints("failures", lambda: subprocess.call(["sh", "-c", "exit 93"]),
                             r"^\d+ sh exit 93$")

    @needs_events
    def test_killed_by(self):
        if not any(f.subject == "bpf" and f.level == "ok" for f in knell.doctor()):
            self.skipTest("only bpf reports the sender of a signal")
        self.until_it_prints("killed_by", lambda: subprocess.call(["sh", "-c", "kill -USR2 $$"]),
                             "^sh: SIGUSR2 by sh$")

    @needs_events
    def test_select_loop(self):
        self.until_it_prints("select_loop", lambda: subprocess.call(["sh", "-c", "exit 94"]),
                             r"^\d+ exit 94$")

    def test_wait_for(self):
        with child("sh", "-c", "read x; exit 5") as process:
            with self.start("wait_for", str(process.pid)) as ran:
                while not self.holds_pidfd(ran.pid, process.pid):
                    self.assertIsNone(ran.poll())
                process.stdin.close()
                out, _ = ran.communicate(timeout=PATIENCE)
        self.assertEqual(out, "5\n")

    def test_wait_async(self):
        with child("sleep", "0") as one, child("sh", "-c", "exit 6") as other:
            status, lines = self.lines("wait_async", str(one.pid), str(other.pid))
        self.assertEqual((status, lines), (0, [f"{one.pid} exit 0", f"{other.pid} exit 6"]))

    @needs_events
    def test_subtree_async(self):
        status, lines = self.lines("subtree_async", "sh", "-c", "/bin/true a b; true")
        self.assertEqual(status, 0)
        self.assertTrue([line for line in lines if line.endswith("/bin/true a b")], lines)

    def test_workers(self):
        _, lines = self.lines("workers")
        self.assertEqual(sorted(lines), ["worker 0 exit 3", "worker 1 exit 0"])

    def test_alive(self):
        status, lines = self.lines("alive", "pid", str(os.getpid()))
        self.assertEqual(status, 0)
        self.assertTrue(lines[0].startswith(f"{os.getpid()} "), lines)

    @needs_events
    def test_build_report(self):
        status, lines = self.lines("build_report", "sh", "-c", "sh -c 'exit 4'; exit 2")
        self.assertEqual(status, 2)
        self.assertEqual(lines, ["exit 4\tsh <- sh\tsh\t-c\texit 4",
                                 "2 processes, 1 failed, 0 events lost"])

    @needs_events
    def test_recording(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "recording")
            with subprocess.Popen([KNELL, "record", "-e", "exit", "--under", str(os.getpid()), "-n",
                                   "1", "--ended", "77", path], stderr=subprocess.PIPE) as record:
                record.stderr.readline()
                while record.poll() is None:
                    subprocess.call(["sh", "-c", "exit 77"])
            status, lines = self.lines("recording", path)
        self.assertEqual((status, lines), (0, ["1 sh exit 77"]))

    def test_all_are_tested(self):
        tested = {name.removeprefix("test_") for name in dir(self) if name.startswith("test_")}
        self.assertEqual({p.stem for p in EXAMPLES.glob("*.py")}, tested - {"all_are_tested"})
        documented = (ROOT / "docs/python.md").read_text()
        for program in EXAMPLES.glob("*.py"):
            code = program.read_text().split('"""', 2)[2].strip()
            self.assertIn(code, documented, program)


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *sys.argv[3:]])
