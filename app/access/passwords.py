"""Passwords: argon2id at OWASP's floor (19 MiB, t=2, p=1), twelve characters, nothing that is guessed early.

No composition rules and no truncation (ASVS 6.2.5, 6.2.8); periodic change is a setting, off by default (6.2.10).
"""

from threading import BoundedSemaphore

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from app.protocol.errors import BadRequest

SHORTEST, LONGEST = 12, 256
_HASHER = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)
# Checked for names that have no account, so that they take as long as those that have one.
_NOBODY = "$argon2id$v=19$m=19456,t=2,p=1$djoPLhZD6IR9i4xcycMYDQ$jF2lVPHwIkWUHNglD5YXvs+aHaML2VDDi9s19hqOWvY"
# 19 MiB each: sign-ins beyond this many wait instead of filling the memory.
_AT_ONCE = BoundedSemaphore(4)
_CONTEXT = (
    "hutong", "互通", "胡同", "smartedu", "eduyun", "jiaoyu", "jiaoyuju", "xuexiao", "ziyuan", "pingtai", "admin",
    "administrator", "guanliyuan", "mima", "woaini", "woaini1314", "woaini520", "1314520", "5201314", "zhongguo", "beijing",
    "教育", "平台", "资源", "管理员", "密码", "我爱你", "中国",
)  # fmt: skip
_GUESSED_BELOW = 3  # zxcvbn's score; 3 is more than 10^8 guesses


def check(password: str, name: str) -> None:
    """Raises BadRequest (`auth.password`) with the reason when the password is too short, too long or easily guessed."""
    if not SHORTEST <= len(password) <= LONGEST:
        raise _weak(f"a password has {SHORTEST} to {LONGEST} characters, this one has {len(password)}")
    from zxcvbn import zxcvbn  # its lists take longer to load than most commands take

    words = [*_CONTEXT, name]
    # zxcvbn takes 72 characters; what is strong in its first 72 is strong.
    found = zxcvbn(password[:72], user_inputs=words)
    if found["score"] < _GUESSED_BELOW or len(set(password)) < 5:
        hint = found["feedback"]["warning"] or "it is near the beginning of what guessers try"
        raise _weak(f"this password is easily guessed: {hint}. Several unrelated words make a good one")


def _weak(detail: str) -> BadRequest:
    error = BadRequest(detail)
    error.kind = "auth.password"
    return error


def hashed(password: str) -> str:
    """The argon2id hash, with its parameters and salt inside."""
    with _AT_ONCE:
        return _HASHER.hash(password)


def matches(stored: str | None, password: str) -> bool:
    """Whether the password is the one; takes the same time when there is no account (`stored` is None)."""
    try:
        with _AT_ONCE:
            return _HASHER.verify(stored or _NOBODY, password) and stored is not None
    except (VerificationError, InvalidHashError):
        return False


def outdated(stored: str) -> bool:
    """Whether the hash was made with weaker parameters than today's."""
    return _HASHER.check_needs_rehash(stored)
