"""Where torch has no TorchScript: what needs it is refused with a clear error, and a call still works."""

import torch
from user_model import Table

import remotemod as rm

with rm.launch(workers=["ps0"]):
    table = rm.RemoteModule("ps0/cpu", Table)
    try:
        rm.export(table, "model.pt")
    except rm.InterfaceError:
        raise  # that would be the table's fault, and it is torch's
    except rm.RemoteModError as error:
        assert "TorchScript" in str(error), error
        print("refused:", str(error).replace("\n", " "))
    else:
        raise AssertionError("rm.export wrote an archive without TorchScript")
    assert table(torch.tensor([1])).shape == (1, 8)
