"""Records of 0.1, as its agents, schedulers and fleetctl write them: both versions run together."""

import json

import msgspec
import pytest

from fleet.core.model import (
    Drain,
    Facts,
    HostStatus,
    JobRecord,
    JobVersion,
    LeaderLease,
    Plan,
    RemoteRequest,
    RemoteResponse,
    Rollout,
    ServiceRecord,
    decode,
    encode,
)

UNIT = "9f" * 32
ORDER = (
    '{"job":"web.service","index":0,"version":2,"unit":"' + UNIT + '","rev":3,'
    '"name":"fleet-web-0-9f9f9f9f.service","port":20123,"check":"http:/healthz",'
    '"endpoints":[{"service":"app.example.com","port":0,"ttl_s":5,"check":"tcp"}],'
    '"why":"it runs nowhere"}'
)
# Each as it was written by the version at 8649fd5.
OLD = {
    JobRecord: '{"name":"web.service","version":2,"rev":3,"unit":"' + UNIT + '",'
    '"target":"launched","count":null,"paused":false,"by":"root","at":"","note":""}',
    JobVersion: '{"number":2,"unit":"' + UNIT + '","by":"root","at":"","note":""}',
    Rollout: '{"version":2,"began_s":1764504000.5,"progress_s":1764504001.5,"settled":3,'
    '"stable":1,"stable_unit":"","state":"rolling","bad":[],"note":""}',
    Plan: '{"epoch":4,"gen":17,"orders":[' + ORDER + "]}",
    HostStatus: '{"boot_id":"b","epoch":4,"gen":17,"reports":[{"order":' + ORDER + ','
    '"phase":"ready","settled":true,"load":"loaded","active":"active","sub":"running"}],'
    '"load":{"load":0.25,"pressure":0.0,"memory":0.5},"note":""}',
    Facts: '{"id":"aa","hostname":"h1","address":"10.0.0.1","cpu":3900,"memory":8455716864,'
    '"labels":{"arch":"x86_64","os":"debian"},"version":"0.1.0"}',
    Drain: '{"by":"root","at":"","reason":"r","deadline_s":300.0,"reboot":true,"boot_id":"b"}',
    ServiceRecord: '{"selector":"app=web","port":0,"ttl_s":5,"proxy":true,"check":""}',
    LeaderLease: '{"holder":"h1-77-aa","epoch":0}',
    RemoteRequest: '{"by":"root","logs":"","lines":100,"cursor":"","command":["id"],"unit":""}',
    RemoteResponse: '{"code":0,"out":"uid=0(root)\\n","cursor":""}',
}  # fmt: skip


@pytest.mark.parametrize("kind", OLD, ids=lambda kind: kind.__name__)
def test_a_record_of_the_last_version_is_read_and_kept(kind: type[msgspec.Struct]) -> None:
    record = decode(OLD[kind], kind)
    old, new = json.loads(OLD[kind]), json.loads(encode(record))
    assert {name: new[name] for name in old} == old


@pytest.mark.parametrize("kind", OLD, ids=lambda kind: kind.__name__)
def test_what_is_new_in_a_record_is_an_addition(kind: type[msgspec.Struct]) -> None:
    """The last version ignores fields that it does not know."""
    added = [field for field in msgspec.structs.fields(kind) if not field.required]
    old = json.loads(OLD[kind])
    names = [field.encode_name for field in msgspec.structs.fields(kind)]
    beyond = [name for name in names if name not in old]
    assert all(name in {field.encode_name for field in added} for name in beyond)
