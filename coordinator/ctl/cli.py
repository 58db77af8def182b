"""The command line of `coordctl`. Commands, options and outputs are those of etcdctl's v2 API."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from coordinator.ctl.codes import BAD_ARGUMENTS, give_up
from coordinator.ctl.spelling import Launcher, Program, Verb, duration_s
from daemonkit import options

if TYPE_CHECKING:
    from coordinator.client.exchange import Request
    from coordinator.ctl.answers import Answer, Form
    from coordinator.ctl.calls import Cluster

PROG = "coordctl"
ENDPOINTS = "http://127.0.0.1:2379,http://127.0.0.1:4001"
FORMS = ("simple", "extended", "json")

app = options.program("Read and change keys of a coordinator, or of any etcd with the v2 API.")
member_app = options.program("The members of the cluster.")
dump_app = options.program("What the coordinator keeps, in words.")
app.add_typer(member_app, name="member", no_args_is_help=False, invoke_without_command=True)
app.add_typer(dump_app, name="dump", no_args_is_help=False, invoke_without_command=True)
