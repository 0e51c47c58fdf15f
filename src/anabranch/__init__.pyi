# The names that `__init__.py` loads when they are first used.
from anabranch.client.branches import Branch as Branch
from anabranch.client.branches import Transaction as Transaction
from anabranch.client.lake import Lake as Lake
from anabranch.client.lake import connect as connect
from anabranch.client.merged import Merge as Merge
from anabranch.client.merged import MergeConflicted as MergeConflicted
from anabranch.client.refs import Commit as Commit
from anabranch.client.refs import Ref as Ref
from anabranch.client.refs import Tag as Tag
from anabranch.client.repositories import Repository as Repository
from anabranch.kernel.errors import AnabranchError as AnabranchError

__version__: str
