"""A process as kubelet would run it by the Deployments in deploy/: its user has no name, and nothing can be written."""

import base64
from pathlib import Path

import yaml

from devcluster.controlplane import APISERVER_PORT

#: What Kubernetes mounts into every pod.
ACCOUNT = "secrets/kubernetes.io/serviceaccount"
#: As the Dockerfile's USER. The one capability is for reading this checkout, wherever it is.
_USER = (
    *("setpriv", "--reuid=65532", "--regid=65532", "--clear-groups", "--no-new-privs"),
    *("--bounding-set=-all,+dac_read_search", "--inh-caps=-all,+dac_read_search", "--ambient-caps=+dac_read_search"),
)
#: Arguments: folder with the service account's files, "scratch" for a /tmp of its own or anything else, and the command.
_BOX = f"""set -e
mount -t tmpfs tmpfs /run
mkdir -p /run/{ACCOUNT}
cp "$1"/* /run/{ACCOUNT}
if [ "$2" = scratch ]; then
  mkdir /run/checkout
  mount --bind "$PWD" /run/checkout
  mount -t tmpfs tmpfs /tmp
  # It may be in /tmp itself.
  mkdir -p "$PWD"
  mount --bind /run/checkout "$PWD"
fi
for place in / /var/tmp /dev/shm "$PWD"; do
  mount --bind "$place" "$place"
  mount -o remount,bind,ro "$place"
done
shift 2
cd /
exec env -i PATH="$PATH" PYTHONDONTWRITEBYTECODE=1 {" ".join(_USER)} "$@"
"""


def in_a_pod(kubeconfig: Path, folder: Path, *argv: str, scratch: bool = False) -> list[str]:
    """``argv`` in a mount namespace of its own, as the service account of ``kubeconfig``; ``scratch``: with a /tmp."""
    config = yaml.safe_load(kubeconfig.read_text())
    cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
    account = folder / "serviceaccount"
    account.mkdir()
    (account / "token").write_text(user["token"])
    (account / "ca.crt").write_bytes(base64.b64decode(cluster["certificate-authority-data"]))
    address = ("env", "KUBERNETES_SERVICE_HOST=127.0.0.1", f"KUBERNETES_SERVICE_PORT={APISERVER_PORT}")
    box = ("sh", "-c", _BOX, "sh", str(account), "scratch" if scratch else "")
    return ["unshare", "--mount", *box, *address, *argv]
