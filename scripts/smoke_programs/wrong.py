"""Three mistakes that a type checker must report, each marked."""

from stubs.remote_table import RemoteTable
from user_model import Table

import remotemod as rm

number: int = rm.launch(workers=1)  # WRONG: a cluster
table = RemoteTable("ps0/cpu", Table)
text: str = table.forward_async(3).wait()  # WRONG: a number is no tensor, and a tensor no text
rm.no_such_name()  # WRONG: there is none
