"""Our signatures are botocore's, whatever the key."""

import base64
import datetime
import json
from collections.abc import Iterator
from unittest.mock import patch
from urllib.parse import parse_qsl, urlsplit

import pytest
from botocore.auth import S3SigV4Auth, S3SigV4PostAuth, S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as BotoCredentials
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from prominence_hpc.adapter.storage.sigv4 import (
    UNSIGNED,
    Credentials,
    Request,
    post_fields,
    presign,
    quote_key,
    sign,
)

NOW = 1_795_000_000.0
KEYS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=60)
HOSTS = [("bucket.s3.eu-west-1.amazonaws.com", "/"), ("s3.site.org:7443", "/bucket/")]
CREDENTIALS = [
    Credentials(access_key_id="AKID", secret_access_key="se/cr+et"),
    Credentials(access_key_id="ASIA", secret_access_key="s", session_token="to/ken+=="),
]


@pytest.fixture(autouse=True)
def clock() -> Iterator[None]:
    moment = datetime.datetime.fromtimestamp(NOW, datetime.UTC)
    with patch("botocore.auth.get_current_datetime", return_value=moment):
        yield


def boto(credentials: Credentials) -> BotoCredentials:
    return BotoCredentials(
        credentials.access_key_id, credentials.secret_access_key, credentials.session_token
    )


@pytest.mark.parametrize("credentials", CREDENTIALS, ids=["keys", "token"])
@pytest.mark.parametrize(("host", "base"), HOSTS, ids=["virtual-host", "path"])
@pytest.mark.parametrize("method", ["GET", "PUT", "HEAD"])
@example(key="a b+c%~*'()!$&=@:,;[]")
@example(key="//double//slash/")
@example(key="/leading")
@example(key="uploads/alice/𝜋/é.sif")
@example(key="../..%2F?query#fragment")
@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30, deadline=None
)
@given(key=KEYS)
def test_presigned_url_is_botocores(
    method: str, host: str, base: str, credentials: Credentials, key: str
) -> None:
    path = base + quote_key(key)
    theirs = AWSRequest(method=method, url=f"https://{host}{path}")
    S3SigV4QueryAuth(boto(credentials), "s3", "eu-west-1", expires=3600).add_auth(theirs)

    request = Request(method=method, host=host, path=path)
    target = presign(request, credentials, "eu-west-1", seconds=3600, now=NOW)
    ours = f"https://{host}{target}"

    wanted = str(theirs.url)
    assert urlsplit(ours).path == urlsplit(wanted).path
    assert sorted(parse_qsl(urlsplit(ours).query)) == sorted(parse_qsl(urlsplit(wanted).query))


@pytest.mark.parametrize("credentials", CREDENTIALS, ids=["keys", "token"])
@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50, deadline=None
)
@given(key=KEYS, prefix=KEYS, value=st.text("abc 09-_.", min_size=1))
def test_signed_headers_are_botocores(
    credentials: Credentials, key: str, prefix: str, value: str
) -> None:
    path = "/bucket/" + quote_key(key)
    query = [("list-type", "2"), ("prefix", prefix)]
    theirs = AWSRequest(
        method="GET",
        url=f"https://s3.site.org{path}",
        params=dict(query),
        headers={"x-amz-meta-note": value},
    )
    theirs.context["payload_signing_enabled"] = False
    S3SigV4Auth(boto(credentials), "s3", "us-east-1").add_auth(theirs)

    request = Request(method="GET", host="s3.site.org", path=path, query=query)
    headers = {"x-amz-meta-note": value}
    sha256 = theirs.headers["X-Amz-Content-SHA256"]
    ours = sign(request, headers, credentials, "us-east-1", payload_sha256=sha256, now=NOW)

    assert ours["authorization"] == theirs.headers["Authorization"]


def test_unsigned_payload_is_said_in_the_header() -> None:
    request = Request(method="PUT", host="h", path="/k")
    ours = sign(request, {}, CREDENTIALS[0], "r", payload_sha256=UNSIGNED, now=NOW)
    assert ours["x-amz-content-sha256"] == UNSIGNED


@pytest.mark.parametrize("credentials", CREDENTIALS, ids=["keys", "token"])
def test_post_policy_is_signed_as_botocore_does(credentials: Credentials) -> None:
    ours = post_fields(
        "bucket", "scratch/5f/", credentials, "us-east-1", seconds=60, max_bytes=10, now=NOW
    )
    policy = json.loads(base64.b64decode(ours["policy"]))
    assert policy["conditions"][:3] == [
        {"bucket": "bucket"},
        ["starts-with", "$key", "scratch/5f/"],
        ["content-length-range", 0, 10],
    ]
    assert policy["expiration"] == "2026-11-18T11:07:40Z"

    theirs = AWSRequest(method="POST", url="https://s3.site.org/bucket/")
    # botocore appends the conditions that ours hold already
    theirs.context["s3-presign-post-fields"] = {}
    theirs.context["s3-presign-post-policy"] = {**policy, "conditions": policy["conditions"][:3]}
    S3SigV4PostAuth(boto(credentials), "s3", "us-east-1").add_auth(theirs)
    fields = theirs.context["s3-presign-post-fields"]
    assert ours == {"key": "scratch/5f/", **fields}


def test_secrets_are_not_shown() -> None:
    assert "to/ken" not in repr(CREDENTIALS[1])
    assert "se/cr+et" not in repr(CREDENTIALS[0])
