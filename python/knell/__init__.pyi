# SPDX-FileCopyrightText: The knell authors
# SPDX-License-Identifier: Apache-2.0
import datetime
import os
from typing import (Any, AsyncIterator, Dict, Iterable, Iterator, List, NamedTuple, Optional, Sequence,
                    Tuple, Type, TypeVar, Union)

_W = TypeVar("_W", bound="Watch")
_Value = Union[str, int, "os.PathLike[str]"]
_Values = Union[_Value, Sequence[_Value]]

__version__: str

class Error(OSError): ...
class NoSuchProcess(Error, ProcessLookupError): ...
class AccessDenied(Error, PermissionError): ...
class TimeoutExpired(Error, TimeoutError): ...

class KilledBy:
    cause: str
    pid: Optional[int]
    comm: Optional[str]
    uid: Optional[int]
    parent_pid: Optional[int]
    parent_comm: Optional[str]
    unit: Optional[str]
    memory_cgroup: Optional[str]
    def as_dict(self) -> Dict[str, Any]: ...

class LastSignal:
    signal: str
    pid: Optional[int]
    comm: Optional[str]
    uid: Optional[int]
    parent_comm: Optional[str]
    ago_ns: int
    def as_dict(self) -> Dict[str, Any]: ...

class Event:
    type: str
    seq: int
    time: str
    mono_ns: int
    via: str
    cookie: int
    id: Optional[str]
    parent_id: Optional[str]
    pid: int
    tid: int
    ppid: Optional[int]
    name: Optional[str]
    cmdline: Optional[List[str]]
    exe: Optional[str]
    cwd: Optional[str]
    username: Optional[str]
    terminal: Optional[str]
    parent_comm: Optional[str]
    args_truncated: Optional[bool]
    uid: Optional[int]
    gid: Optional[int]
    cgroup: Optional[str]
    unit: Optional[str]
    container_id: Optional[str]
    recovered: bool
    cursor: Optional[str]
    redelivered: bool
    ended: Optional[str]
    wait_status: Optional[int]
    exit_code: Optional[int]
    signal: Optional[str]
    core_dumped: Optional[bool]
    killed_by: Optional[KilledBy]
    last_signal: Optional[LastSignal]
    duration_ns: Optional[int]
    details_lost: Optional[bool]
    child_id: Optional[str]
    child_pid: Optional[int]
    child_tid: Optional[int]
    ruid: Optional[int]
    euid: Optional[int]
    rgid: Optional[int]
    egid: Optional[int]
    tracer_pid: Optional[int]
    new_comm: Optional[str]
    count: Optional[int]
    exact: Optional[bool]
    types: Optional[List[str]]
    until: Optional[str]
    ancestry: Optional[str]
    def __init__(self, fields: Dict[str, Any]) -> None: ...
    @property
    def duration(self) -> Optional[float]: ...
    @property
    def returncode(self) -> Optional[int]: ...
    def as_dict(self) -> Dict[str, Any]: ...

class Stats(NamedTuple):
    buffer_bytes: int
    received: int
    shown: int
    lost: int
    wakeups: int
    drains: int
    repairs: int
    processes: int
    process_bytes: int
    forgotten: int
    kernel_mask: int
    kernel_filter: int
    via: int
    daemon: int
    scope: int
    scope_uid: int

class Watch(Iterator[Event], AsyncIterator[Event]):
    @property
    def closed(self) -> bool: ...
    def close(self) -> None: ...
    def __enter__(self: _W) -> _W: ...
    def __exit__(self, *_: Any) -> None: ...
    async def __aenter__(self: _W) -> _W: ...
    async def __aexit__(self, *_: Any) -> None: ...
    def __iter__(self: _W) -> _W: ...
    def __next__(self) -> Event: ...
    def __aiter__(self: _W) -> _W: ...
    async def __anext__(self) -> Event: ...
    def match(self, **predicates: _Values) -> None: ...
    def set_events(self, events: Union[str, Iterable[str]]) -> None: ...
    def add(self, pid: int, start: int = ..., cookie: int = ...) -> None: ...
    def add_many(self, processes: Iterable[Union[int, Tuple[int, ...]]]) -> List[Tuple[int, Error]]: ...
    def remove(self, pid: int) -> None: ...
    def fileno(self) -> int: ...
    def ack(self, event: Optional[Event] = ...) -> None: ...
    def read(self) -> List[Event]: ...
    def next(self, timeout: Optional[float] = ...) -> Event: ...
    def snapshot(self) -> List[Event]: ...
    def stats(self) -> Stats: ...

def watch(events: Union[str, Iterable[str]] = ..., *, only_added: bool = ..., threads: bool = ...,
          details: str = ..., via: str = ..., latency: Optional[float] = ..., args_bytes: int = ...,
          buffer_bytes: int = ..., durable: Optional[str] = ..., start: str = ...,
          max_unacked: int = ..., **predicates: _Values) -> Watch: ...
def replay(path: Union[str, bytes, "os.PathLike[str]"], events: Union[str, Iterable[str]] = ..., *,
           only_added: bool = ..., speed: float = ..., **predicates: _Values) -> Watch: ...
def history(events: Union[str, Iterable[str]] = ..., *,
            since: Union[float, datetime.datetime, None] = ...,
            until: Union[float, datetime.datetime, None] = ..., last: int = ...,
            this_boot: bool = ..., follow: bool = ...,
            path: Union[str, bytes, "os.PathLike[str]", None] = ...,
            **predicates: _Values) -> Watch: ...

async def wait(pid: int, timeout: Optional[float] = ...) -> Event: ...

class Process:
    pid: int
    def __init__(self, pid: int) -> None: ...
    @property
    def id(self) -> str: ...
    @property
    def info(self) -> Event: ...
    def name(self) -> Optional[str]: ...
    def exe(self) -> Optional[str]: ...
    def cmdline(self) -> Optional[List[str]]: ...
    def cwd(self) -> Optional[str]: ...
    def ppid(self) -> Optional[int]: ...
    def username(self) -> Optional[str]: ...
    def terminal(self) -> Optional[str]: ...
    def is_running(self) -> bool: ...
    def wait(self, timeout: Optional[float] = ...) -> Optional[int]: ...
    def kill_and_wait(self, sig: int = ..., timeout: Optional[float] = ...) -> Optional[int]: ...

def process_iter(**predicates: _Values) -> Iterator[Process]: ...

class Report:
    args: Sequence[str]
    returncode: int
    events: List[Event]
    summary: Dict[str, Any]
    processes: int
    failed: Optional[int]
    lost: int
    duration_ns: int
    @property
    def failures(self) -> List[Event]: ...
    def check_returncode(self) -> None: ...

def run(args: Sequence[str], *, events: Union[str, Iterable[str]] = ..., check: bool = ...,
        knell: str = ..., **popen: Any) -> Report: ...

class Finding(NamedTuple):
    level: str
    subject: str
    text: str
    fix: Optional[str]

def doctor() -> List[Finding]: ...
def status() -> Dict[str, Any]: ...
def version() -> str: ...
