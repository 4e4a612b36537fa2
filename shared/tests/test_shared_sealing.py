import base64
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from shared.sealing import CannotOpen, Cipher, Credentials, Opener, Sealer, new_key, public_key_of

PRIVATE = new_key()
PUBLIC = public_key_of(PRIVATE)
ACCOUNT = uuid4()
HUSH = Credentials(SecretStr("the-api-key"), SecretStr("the-api-secret"))


@given(st.text(max_size=80), st.text(max_size=80))
def test_what_is_sealed_opens_again(api_key: str, api_secret: str) -> None:
    box = Sealer(PUBLIC).seal(Credentials(SecretStr(api_key), SecretStr(api_secret)), ACCOUNT)
    opened = Opener(PRIVATE).open(box, ACCOUNT)
    assert (opened.api_key.get_secret_value(), opened.api_secret.get_secret_value()) == (api_key, api_secret)


def test_a_box_shows_nothing_and_is_never_the_same_twice() -> None:
    boxes = {Sealer(PUBLIC).seal(HUSH, ACCOUNT) for _ in range(3)}
    assert len(boxes) == 3
    assert all(b"the-api" not in base64.urlsafe_b64decode(box) for box in boxes)


def test_a_box_opens_only_as_its_own_account() -> None:
    box = Sealer(PUBLIC).seal(HUSH, ACCOUNT)
    with pytest.raises(CannotOpen):
        Opener(PRIVATE).open(box, uuid4())


def test_a_box_opens_only_with_its_own_key() -> None:
    box = Sealer(PUBLIC).seal(HUSH, ACCOUNT)
    with pytest.raises(CannotOpen):
        Opener(new_key()).open(box, ACCOUNT)


@given(st.integers(0, 10_000), st.integers(1, 255))
def test_a_box_with_one_byte_changed_does_not_open(place: int, change: int) -> None:
    raw = bytearray(base64.urlsafe_b64decode(Sealer(PUBLIC).seal(HUSH, ACCOUNT)))
    raw[place % len(raw)] ^= change
    with pytest.raises(CannotOpen):
        Opener(PRIVATE).open(base64.urlsafe_b64encode(raw).decode(), ACCOUNT)


@pytest.mark.parametrize("box", ["", "x", "not base64 !", "AAAA", base64.urlsafe_b64encode(bytes(60)).decode()])
def test_what_is_no_box_does_not_open(box: str) -> None:
    with pytest.raises(CannotOpen):
        Opener(PRIVATE).open(box, ACCOUNT)


def test_after_a_change_of_keys_old_boxes_still_open() -> None:
    newer = new_key()
    old_box, new_box = Sealer(PUBLIC).seal(HUSH, ACCOUNT), Sealer(public_key_of(newer)).seal(HUSH, ACCOUNT)
    opener = Opener(f"{newer},{PRIVATE}")
    assert opener.open(old_box, ACCOUNT) == opener.open(new_box, ACCOUNT) == HUSH


@given(st.text(max_size=80))
def test_what_is_encrypted_decrypts_again(text: str) -> None:
    cipher = Cipher(PRIVATE, "bot_master_webhook")
    token = cipher.encrypt(SecretStr(text))
    assert cipher.decrypt(token).get_secret_value() == text
    assert not text or len(text) < 4 or text not in token


def test_a_token_decrypts_only_in_its_own_context_with_its_own_key_and_unchanged() -> None:
    token = Cipher(PRIVATE, "bot_master_webhook").encrypt(SecretStr("hush"))
    for cipher, tried in (
        (Cipher(PRIVATE, "another"), token),
        (Cipher(new_key(), "bot_master_webhook"), token),
        (Cipher(PRIVATE, "bot_master_webhook"), token[:-6] + ("A" if token[-6] != "A" else "B") + token[-5:]),
        (Cipher(PRIVATE, "bot_master_webhook"), ""),
    ):
        with pytest.raises(CannotOpen):
            cipher.decrypt(tried)


def test_the_first_master_key_encrypts_and_all_decrypt() -> None:
    newer = new_key()
    old_token = Cipher(PRIVATE, "c").encrypt(SecretStr("hush"))
    both = Cipher(f"{newer},{PRIVATE}", "c")
    assert both.decrypt(old_token) == SecretStr("hush")
    assert Cipher(newer, "c").decrypt(both.encrypt(SecretStr("hush"))) == SecretStr("hush")


@pytest.mark.parametrize("key", ["", "short", "not base64 !", base64.urlsafe_b64encode(bytes(31)).decode()])
def test_a_key_of_the_wrong_shape_is_refused_at_once(key: str) -> None:
    for make in (Sealer, Opener, lambda text: Cipher(text, "c")):
        with pytest.raises(ValueError, match=r"."):
            make(key)


def test_credentials_and_boxes_never_print_what_they_hold() -> None:
    for text in (
        repr(HUSH),
        str(HUSH),
        f"{HUSH}",
        repr(Cipher(PRIVATE, "c").decrypt(Cipher(PRIVATE, "c").encrypt(SecretStr("hush")))),
    ):
        assert "the-api" not in text
        assert "hush" not in text
    for holder in (Opener(PRIVATE), Cipher(PRIVATE, "c")):
        assert PRIVATE not in repr(holder) + repr(vars(holder))
