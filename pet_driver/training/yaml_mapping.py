"""Files of keys and values in YAML, in which no key may occur twice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from ..errors import PetDriverError


def read_mapping(path: Path) -> dict[str, Any]:
    """Content of a YAML file, keys with their values.

    :raises PetDriverError: if the file is missing or is not YAML, holds something else, or names a
        key twice
    """
    try:
        content = yaml.load(Path(path).read_text(), _Loader)
    except FileNotFoundError as error:
        raise PetDriverError(
            f"there is no options file {path}; give the path of a YAML file"
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise PetDriverError(
            f"the options file {path} cannot be read ({error}); give the path of a YAML file"
        ) from error
    except (yaml.YAMLError, ValueError) as error:  # the latter for a day that does not exist
        raise PetDriverError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict):
        raise PetDriverError(
            f"{path} holds no options; it needs the sections name, data, model and fit"
        )
    return content


class _Loader(yaml.SafeLoader):
    """Reads what `yaml.safe_load` reads, but refuses a key that occurs twice, as YAML demands."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:  # noqa: ANN401 (as of yaml)
        """A mapping as it is written, before others are merged into it."""
        node: yaml.MappingNode = super().compose_mapping_node(anchor)
        keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        for key in keys:
            if keys.count(key) > 1:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key!r} occurs twice", node.start_mark
                )
        return node
