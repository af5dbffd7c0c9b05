#!/usr/bin/env bash
# private-daemon.sh FOLDER RELEASE DATA_ROOT_BYTES NETWORK COMMAND...
#
# Runs a daemon in namespaces of its own (processes, mounts; with NETWORK=private the network too), on a copy of RELEASE
# (the root of this system, or of another one) that nobody else sees. FOLDER is its /mnt, and its data root /mnt/root is
# a tmpfs of DATA_ROOT_BYTES unless that is 0. COMMAND runs as often as it is told to on the standard input:
#
#   start                 answers `started`
#   kill SIGNAL           ends it, and its containerd with it; answers `ended`
#   signal SIGNAL         answers `sent`
#   state                 answers `running` or `ended`
#
# The first answer is `ready PID`: the process, as the host counts, in whose namespaces it runs. The end of the input,
# which comes however the one who started this ends, is the end of everything in there: the kernel sees to that, for
# they are the namespace's processes and mounts. Then FOLDER is removed.
set -u

if [ "$1" != inside ]; then
  folder=$1
  network=()
  [ "$4" = private ] && network=(--net)
  # Whoever ends everybody at once ends what is inside by ending its input; FOLDER has to be removed after that.
  trap : HUP INT TERM
  unshare --mount --pid --fork --kill-child "${network[@]}" bash "$0" inside "$@"
  find /sys/fs/cgroup -depth -type d -path "*/$(basename "$folder")*" -exec rmdir {} + 2>/dev/null
  rm -rf "$folder"
  exit
fi

shift
folder=$1 release=$2 data_root_bytes=$3 network=$4
shift 4
set -e
# The process id that the host's own /proc knows.
read -r host_pid _ </proc/self/stat

root=$folder/system
mkdir -p "$root"
mount -t tmpfs tmpfs "$root"
mkdir "$root"/{upper,work,root}
mount -t overlay overlay -o "lowerdir=$release,upperdir=$root/upper,workdir=$root/work" "$root/root"
root=$root/root
mkdir -p "$root"/{proc,dev,sys,run,tmp,mnt}
# Names resolve as they do outside, wherever that file points to.
cat /etc/resolv.conf >"$folder/resolv.conf"
rm -f "$root/etc/resolv.conf"
cp "$folder/resolv.conf" "$root/etc/resolv.conf"
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mount --rbind /sys "$root/sys"
# In a container they may not be there, and no daemon starts without.
if [ ! -e /sys/fs/cgroup/cgroup.controllers ] && [ ! -d /sys/fs/cgroup/devices ]; then
  mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup" || true
fi
mount -t tmpfs tmpfs "$root/run"
mount -t tmpfs tmpfs "$root/tmp"
mount --bind "$folder" "$root/mnt"
mkdir -p "$root/mnt/root"
if [ "$data_root_bytes" != 0 ]; then
  mount -t tmpfs -o "size=$data_root_bytes" tmpfs "$root/mnt/root"
elif [ "$(stat -f -c %T "$folder")" = overlayfs ]; then
  # In a container: images cannot be unpacked onto one overlay with another.
  mount -t tmpfs tmpfs "$root/mnt/root"
fi
# Files that the daemon is to find in place of this system's own; Docker's key would give all of them one id.
rm -rf "$root/etc/docker"
if [ -d "$folder/etc" ]; then cp -r "$folder/etc/." "$root/etc/"; fi
[ "$network" = private ] && ip link set lo up
cd "$root"
pivot_root . .
umount -l .
cd /
set +e

daemon=
is_running() {
  [ -n "$daemon" ] && kill -0 "$daemon" 2>/dev/null
}
# Its containerd is told to end with it, and needs a moment: another one must not find it there.
end_daemon() {
  local name file left
  if is_running; then
    kill -s CONT "$daemon"
    kill -s "$1" "$daemon"
    wait "$daemon"
  fi
  daemon=
  for _ in {1..100}; do
    left=0
    for file in /proc/[0-9]*/comm; do
      read -r name 2>/dev/null <"$file"
      [ "$name" = containerd ] && left=1
    done
    [ "$left" = 0 ] && break
    sleep 0.05
  done
}

echo "ready $host_pid"
while read -r word signal; do
  case $word in
    start)
      "$@" </dev/null >>/mnt/daemon.log 2>&1 &
      daemon=$!
      echo started
      ;;
    kill)
      end_daemon "$signal" 2>/dev/null
      echo ended
      ;;
    signal)
      kill -s "$signal" "$daemon"
      echo sent
      ;;
    state)
      if is_running; then echo running; else echo ended; fi
      ;;
  esac
done
