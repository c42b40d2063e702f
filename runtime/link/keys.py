"""CURVE key pairs as files: our own, and the public keys of those who may connect.

<keys>/NAME.key_secret       our own pair, mode 0600
<keys>/NAME.key              its public half, to be handed out
<keys>/trusted/NAME.key      public keys of other computers and people

The format is that of ZeroMQ's certificates, so that `zmq.auth.load_certificate` reads them too. A public key is 40
characters of Z85, which hold no quote and no backslash: write it in single quotes in a shell, in double quotes in
TOML.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from cardan.runtime.errors import ConfigError, near_names

SERVICE_KEYS = Path("/etc/cardan/keys")
"""The keys of a vehicle that runs as a service; used where it exists and may be entered."""
NAME = re.compile(r"[a-z][a-z0-9_-]{0,31}")
KEY = re.compile(r"[0-9a-zA-Z.\-:+=^!/*?&<>()\[\]{}@%$#]{40}")
LINE = re.compile(r'^\s*(public|secret)-key\s*=\s*"(.*)"\s*$', re.MULTILINE)
TRUSTED = "trusted"
SUFFIX, SECRET_SUFFIX = ".key", ".key_secret"


@dataclass(frozen=True)
class KeyPair:
    """One of our own pairs, as ZeroMQ takes it (Z85)."""

    name: str
    public: bytes
    secret: bytes

    def __repr__(self) -> str:
        return f"KeyPair({self.name!r}, {self.public!r}, secret kept)"


def keys_folder(data_dir: Path, given: str = "") -> Path:
    """`given`, else the service's folder where this user may enter it, else `keys` in the data folder."""
    if given:
        return Path(given).expanduser()
    return SERVICE_KEYS if os.access(SERVICE_KEYS, os.R_OK | os.X_OK) else data_dir / "keys"


class KeyFolder:
    """The keys in one folder. Nothing is cached: what is on disk counts."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def trusted_folder(self) -> Path:
        return self.folder / TRUSTED

    def own(self) -> dict[str, bytes]:
        """Public keys of our own pairs by name."""
        return {path.stem: _public(path) for path in sorted(self.folder.glob(f"*{SUFFIX}"))}

    def trusted(self) -> dict[str, bytes]:
        """Public keys of others by name."""
        return {path.stem: _public(path) for path in sorted(self.trusted_folder.glob(f"*{SUFFIX}"))}

    def create(self, name: str, make: Callable[[], tuple[bytes, bytes]]) -> KeyPair:
        """Make a pair and keep it; ConfigError when the name is taken. make: `zmq.curve_keypair`."""
        _check_name(name)
        made = KeyPair(name, *make())
        while made.public.startswith(b"-"):  # a command line would take it for an option
            made = KeyPair(name, *make())
        title = f"CURVE key pair of {name}, made by cardan. Whoever has the secret key is {name}."
        secret = f'    public-key = "{made.public.decode()}"\n    secret-key = "{made.secret.decode()}"\n'
        self._write(self.folder / f"{name}{SECRET_SUFFIX}", title, secret)
        self._write(
            self.folder / f"{name}{SUFFIX}",
            f"Public CURVE key of {name}: hand it out.",
            f'    public-key = "{made.public.decode()}"\n',
        )
        return made

    def load(self, name: str) -> KeyPair:
        """Our own pair called `name`; ConfigError when it is absent, damaged, or open to others."""
        path = self.folder / f"{name}{SECRET_SUFFIX}"
        try:
            with path.open(encoding="utf-8") as file:
                mode = os.fstat(file.fileno()).st_mode
                found = dict(LINE.findall(file.read()))
        except FileNotFoundError:
            raise ConfigError(f'no key pair "{name}" in {self.folder}', hint=self._hint(name)) from None
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"cannot read the key pair {path}: {error}") from error
        if mode & 0o077:
            raise ConfigError(f"others may read the secret key {path}", hint=f"chmod 600 {path}")
        return KeyPair(name, _key(found.get("public", ""), path), _key(found.get("secret", ""), path))

    def trust(self, name: str, public: bytes) -> bool:
        """Let the holder of `public` in under `name`; False when it was so already. ConfigError for a taken name."""
        _check_name(name)
        known = self.trusted()
        if known.get(name) == public:
            return False
        if name in known:
            raise ConfigError(
                f'"{name}" is trusted already, with another key', hint=f"`cardan keys revoke {name}` first"
            )
        same = next((other for other, key in known.items() if key == public), None)
        if same is not None:
            raise ConfigError(f'this key is trusted already, as "{same}"', hint=f"use it, or revoke {same} first")
        text = f'    public-key = "{public.decode()}"\n'
        self._write(self.trusted_folder / f"{name}{SUFFIX}", f"Public CURVE key of {name}, trusted.", text)
        return True

    def revoke(self, name: str) -> None:
        """Trust `name` no longer; ConfigError when it was not trusted."""
        _check_name(name)
        try:
            (self.trusted_folder / f"{name}{SUFFIX}").unlink()
        except FileNotFoundError:
            raise ConfigError(f'"{name}" is not trusted', hint=near_names(name, list(self.trusted()))) from None
        except OSError as error:
            raise ConfigError(f"cannot revoke {name}: {error}", hint="run it as the owner of the keys") from error

    def _hint(self, name: str) -> str:
        known = list(self.own())
        return f"{near_names(name, known)} or make it: `cardan keys new {name}`" if known else f"cardan keys new {name}"

    def _write(self, path: Path, title: str, content: str) -> None:
        """Make a file that must not be there yet, whole or not at all; it belongs to the owner of the folder."""
        text = f"# {title}\nmetadata\ncurve\n{content}"
        staged = path.with_name(f".{path.name}.{os.getpid()}")
        _make_folder(path.parent)
        try:
            descriptor = os.open(staged, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(text)
                _give_to_owner(file.fileno(), path.parent)
                os.fsync(file.fileno())
            os.link(staged, path)
        except FileExistsError:
            raise ConfigError(f"{path} is there already", hint="choose another name, or remove that file") from None
        except OSError as error:
            raise ConfigError(f"cannot write {path}: {error}", hint="run it as the owner of the keys") from error
        finally:
            with suppress(OSError):
                staged.unlink()


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"cannot write keys into {folder}: {error.strerror}", hint="name another: --keys") from error


def parse_key(text: str) -> bytes:
    """A public key that a person wrote; ConfigError when it is none."""
    if not KEY.fullmatch(text.strip()):
        raise ConfigError(
            "this is no public key: it has 40 characters of Z85",
            hint="`cardan keys show NAME` on the other computer prints it; put it in single quotes",
        )
    return text.strip().encode()


def read_public(path: Path) -> bytes:
    """The public key in a file that `cardan keys new` or `zmq.auth.create_certificates` has made."""
    return _public(path)


def _public(path: Path) -> bytes:
    try:
        found = dict(LINE.findall(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read the key {path}: {error}") from error
    return _key(found.get("public", ""), path)


def _key(text: str, path: Path) -> bytes:
    if not KEY.fullmatch(text):
        raise ConfigError(f"{path} holds no key", hint="is it a file that `cardan keys new` has made?")
    return text.encode()


def _check_name(name: str) -> None:
    if not NAME.fullmatch(name):
        raise ConfigError(f'"{name}" is no name of a key', hint="small letters, digits, - and _; a letter first")


def _give_to_owner(descriptor: int, folder: Path) -> None:
    """Root makes keys for the user of the service, who owns the folder."""
    owner = folder.stat()
    if os.geteuid() == 0 and (owner.st_uid, owner.st_gid) != (0, 0):
        os.fchown(descriptor, owner.st_uid, owner.st_gid)
