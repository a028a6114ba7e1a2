"""``cache overlay`` and ``cache share``: one cache for several projects, users and machines."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from launcher.cli.amounts import size_text
from launcher.cli.app import Context
from launcher.errors import StorageError

if TYPE_CHECKING:
    from launcher.cache.overlay import Lent
    from launcher.config import Config


def _places(config: Config) -> dict[str, Path]:
    from launcher.cache.layout import pins

    return {pin.name: Path(pin.path) for pin in pins(config)}


@click.command(
    name="overlay",
    help="Put a cache that is never written below the own one: what BASE holds is lent by links, what is new stays "
    "private. Without BASE: lend what the bases have got meanwhile, and show them.",
)
@click.argument("base", metavar="[BASE]", required=False, type=click.Path(path_type=Path))
@click.option("--remove", is_flag=True, help="Take BASE away; what is private stays.")
@click.pass_obj
def overlay_command(context: Context, *, base: Path | None, remove: bool) -> None:
    """Lends a base's contents to the private cache."""
    from launcher.cache import overlay
    from launcher.cache.journal import alone
    from launcher.cache.layout import journal_dir

    config = context.load_config()
    hub = _places(config)["HF_HUB_CACHE"]
    with alone(journal_dir(config)):
        if base is None:
            lent = overlay.refresh(hub)
        elif remove:
            known = {str(one): one for one in overlay.bases_of(hub)}
            place = known.get(str(base)) or overlay.find_base(base, hub)
            gone = overlay.remove(hub, place)
            data = {"cache": str(hub), "removed": str(place), "links": gone}
            context.output.result(data, f"{place} is no base of {hub} any more; {gone} links are gone.")
            return
        else:
            place = overlay.find_base(base, hub)
            lent = {place: overlay.add(hub, place)}
    shown = [_lent_json(place, one) for place, one in lent.items()]
    texts = [
        f"{place}: {len(one.repos)} repos, {one.files} files lent ({size_text(one.size)}), {one.fresh} of them now"
        for place, one in lent.items()
    ]
    context.output.result({"cache": str(hub), "bases": shown}, "\n".join(texts) or f"{hub} has no base.")


def _lent_json(base: Path, lent: Lent) -> dict[str, Any]:
    return {
        "base": str(base),
        "repos": lent.repos,
        "files": lent.files,
        "size_bytes": lent.size,
        "fresh": lent.fresh,
    }


@click.command(name="share", help="Open the caches to the users of a group, now and for everything that comes.")
@click.option("--group", required=True, metavar="NAME", help="The group; its users share what is fetched.")
@click.pass_obj
def share_command(context: Context, *, group: str) -> None:
    """Gives the caches to a group."""
    from launcher.cache.folders import make_folder
    from launcher.cache.layout import OWN_FOLDERS, cache_dir, journal_dir
    from launcher.cache.sharing import group_id, share

    config = context.load_config()
    places, number = _places(config), group_id(group)
    trees = [places[name] for name in ("HF_HUB_CACHE", "HF_XET_CACHE", "TORCH_HOME", "MODELSCOPE_CACHE")]
    trees += [cache_dir(config) / name for name in OWN_FOLDERS]
    # A Hugging Face home holds tokens: it is entered, and only its hub is shared.
    above = [config.data_dir, cache_dir(config), config.data_dir / "instances", trees[0].parent, journal_dir(config)]
    for folder in (*above, *trees):
        make_folder(folder, "LAUNCHER_DATA_DIR")
    try:
        done = share(trees, dict.fromkeys(above), number)
    except OSError as error:
        raise StorageError(f"{error.filename} cannot be shared ({error.strerror}).", fix="Check its owner.") from None
    data = {
        "group": group,
        "folders": done.folders,
        "files": done.files,
        "foreign": done.foreign,
        "has_acl": done.has_acl,
    }
    lines = [f"{done.folders} folders and {done.files} files belong to {group} and are open to it."]
    lines += [f"{done.foreign} names belong to other users, who have to run this, too."] * bool(done.foreign)
    lines += ["This file system keeps no default rights: other programs need the umask 002."] * (not done.has_acl)
    context.output.result(data, "\n".join(lines))
