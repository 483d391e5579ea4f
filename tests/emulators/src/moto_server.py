"""moto's server, with its one slow place made quick: it looks for the tags of a thing of EC2 among the tags of all things,
and a list of hundreds of networks takes minutes. The same is told, in the same order."""

import sys

from moto.ec2.models.core import TaggedEC2Resource
from moto.ec2.utils import EC2_PREFIX_TO_RESOURCE, get_prefix
from moto.server import main


def get_tags(self):
    tags = self.ec2_backend.tags.get(self.id, {}) if self.id else {}
    kind = EC2_PREFIX_TO_RESOURCE.get(get_prefix(self.id), "") if tags else ""
    return [{"resource_id": self.id, "key": key, "value": tags[key], "resource_type": kind} for key in list(tags)]


TaggedEC2Resource.get_tags = get_tags
sys.exit(main(sys.argv[1:]))
