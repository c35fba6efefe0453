"""What is shown on a page: nothing that differs from run to run or tells of an account."""

import datetime as dt
from types import SimpleNamespace

import pytest

from helpers import show

ARN = "arn:aws:kafka:us-east-1:123456789012:cluster/p-a-cluster/0c9f0b9e-1111-4222-8333-44445555666f-12"


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        (ARN, "arn:aws:kafka:us-east-1:<account>:cluster/p-a-cluster/<id>"),
        ("subnet-0a1b2c3d4e5f60718 in vpc-12345678", "subnet-<id> in vpc-<id>"),
        ("i-0a1b2c3d4e5f60718, sg-0a1b2c3d", "i-<id>, sg-<id>"),
        ("2026-10-24T15:00:01.5+00:00", "<time>"),
        ("2026-10-24 15:00:01", "<time>"),
        ("http://127.0.0.1:4566 localhost:8082", "http://<address> <address>"),
    ],
)
def test_mask_hides_what_differs_from_run_to_run(text: str, seen: str) -> None:
    assert show.mask(text) == seen


def test_an_id_that_ends_in_twelve_digits_is_still_an_id() -> None:
    assert show.mask("0c9f0b9e-1111-4222-8333-444455556666") == "<id>"


@pytest.mark.parametrize(
    "text", ["33,462 records", "user-0a1b2c3d4e5f-bucket", "2018-11-02", "1234567890123"]
)
def test_mask_leaves_what_a_lesson_is_about(text: str) -> None:
    assert show.mask(text) == text


def test_a_plan_is_the_same_each_time_and_narrow(capsys: pytest.CaptureFixture[str]) -> None:
    plans = []
    for number in (12, 3456):
        said = f"== Physical Plan ==\n\n+- Exchange hashpartitioning(id#{number}L, 2), [plan_id={number}]\n"
        show.plan(SimpleNamespace(explain=lambda said=said: print(said + "x" * 200)))
        plans.append(capsys.readouterr().out)
    assert plans[0] == plans[1]
    assert plans[0].splitlines()[1] == "+- Exchange hashpartitioning(id, 2)"
    assert max(map(len, plans[0].splitlines())) == 78


def test_shape_prints_an_answer_without_its_metadata(capsys: pytest.CaptureFixture[str]) -> None:
    answer = {"Arn": ARN, "At": dt.datetime(2026, 10, 24, 15, 0), "ResponseMetadata": {"RequestId": "r"}}
    show.shape(answer)
    printed = capsys.readouterr().out
    assert "ResponseMetadata" not in printed
    assert '"At": "<time>"' in printed and "123456789012" not in printed
    assert answer["ResponseMetadata"]


def test_code_prints_the_source(capsys: pytest.CaptureFixture[str]) -> None:
    show.code(show.mask)
    assert capsys.readouterr().out.startswith("def mask(text: str) -> str:\n")
