"""Every module of the installed package can be imported; prints those that need a library which is not here."""

import importlib
import pkgutil

import remotemod

count, missing, failed = 0, [], []
for module in pkgutil.walk_packages(remotemod.__path__, "remotemod."):
    if module.name == "remotemod.__main__":
        continue  # importing it runs the command
    count += 1
    try:
        importlib.import_module(module.name)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] in {"remotemod", "torch"}:
            failed.append(f"{module.name}: {error}")
        else:
            missing.append(f"{module.name.removeprefix('remotemod.')} ({error.name})")
    except Exception as error:
        failed.append(f"{module.name}: {type(error).__name__}: {error}")
assert not failed, failed
print(f"{count} modules; {len(missing)} need a library that is not here: {', '.join(missing)}")
