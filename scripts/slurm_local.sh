#!/usr/bin/env bash
# A Slurm of one node on this machine, for the tests and for trying hydra/launcher=slurm at home.
#
#   scripts/slurm_local.sh up        install (Debian packages, as root) what is missing, start
#   scripts/slurm_local.sh status    say what runs; exit code 0 if Slurm answers
#   scripts/slurm_local.sh down      cancel its jobs, stop it, remove all it wrote
#
#   GRACE_TIME=5 scripts/slurm_local.sh up     seconds between a preempted job's SIGTERM and its end
#
# It needs root but no systemd, listens on loopback only and has as many cores as the machine. Two
# partitions share them: jobs of `urgent` preempt those of `normal`, which are requeued. `up` may be
# repeated: it takes on a new GRACE_TIME and starts what has died. Everything is in /run/cifarlab-slurm
# but /etc/slurm/slurm.conf; one that this script did not write is left alone.
set -euo pipefail

STATE=/run/cifarlab-slurm
CONF=/etc/slurm/slurm.conf
MARK="# written by cifarlab's scripts/slurm_local.sh"
NODE=$(uname -n)
NODE=${NODE%%.*}
CORES=$(env -u OMP_NUM_THREADS -u OMP_THREAD_LIMIT nproc)
MEMORY=$(awk '/MemTotal/ {print int($2 / 1024)}' /proc/meminfo) # MiB

die() {
	echo "slurm_local: $*" >&2
	exit 1
}

ours() { [ ! -e "$CONF" ] || [ "$(head -n 1 "$CONF")" = "$MARK" ]; }

pid() { cat "$STATE/$1.pid" 2> /dev/null; }

# By its program: a number may have gone to another process, a zombie has none
alive() { [[ $(readlink "/proc/$(pid "$1")/exe") == */"$1"* ]]; }

answers() { [ -e "$CONF" ] && timeout 5 sinfo --noheader --format=%T 2> /dev/null | grep -qE '^(idle|mixed|allocated|completing)'; }

wait_until() { # seconds, command...
	local end=$((SECONDS + $1))
	shift
	until "$@"; do
		[ $SECONDS -lt $end ] || return 1
		sleep 0.1
	done
}

install_packages() {
	local missing=()
	command -v munged > /dev/null || missing+=(munge)
	command -v slurmctld > /dev/null && command -v slurmd > /dev/null || missing+=(slurm-wlm)
	[ ${#missing[@]} -gt 0 ] || return 0
	command -v apt-get > /dev/null || die "needs ${missing[*]}, and there is no apt-get to install them"
	echo "slurm_local: installing ${missing[*]}"
	export DEBIAN_FRONTEND=noninteractive
	{
		apt-get install -y -q --no-install-recommends "${missing[@]}" \
			|| { apt-get update -q && apt-get install -y -q --no-install-recommends "${missing[@]}"; }
	} > "$STATE/apt.log" 2>&1 < /dev/null || die "apt-get could not install ${missing[*]}: $(tail -n 1 "$STATE/apt.log")"
}

# A munge of our own, so that the system's, if there is one, is not touched. cred_expire is also
# how long a requeued job waits (two minutes by default), KillWait how long one has after SIGTERM.
configuration() {
	cat <<- END
		$MARK
		ClusterName=cifarlab
		SlurmctldHost=$NODE(127.0.0.1)
		SlurmUser=root
		SlurmdUser=root
		CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
		AuthType=auth/munge
		AuthInfo=socket=$STATE/munge.socket,cred_expire=10
		SlurmctldPidFile=$STATE/slurmctld.pid
		SlurmdPidFile=$STATE/slurmd.pid
		SlurmctldLogFile=$STATE/slurmctld.log
		SlurmdLogFile=$STATE/slurmd.log
		StateSaveLocation=$STATE/slurmctld
		SlurmdSpoolDir=$STATE/slurmd
		ProctrackType=proctrack/linuxproc
		TaskPlugin=task/none
		MpiDefault=none
		AccountingStorageType=accounting_storage/none
		JobAcctGatherType=jobacct_gather/none
		JobCompType=jobcomp/none
		ReturnToService=2
		KillWait=5
		JobRequeue=1
		PreemptType=preempt/partition_prio
		PreemptMode=REQUEUE
		SchedulerType=sched/backfill
		SchedulerParameters=batch_sched_delay=0,sched_interval=2,bf_interval=2
		SelectType=select/cons_tres
		SelectTypeParameters=CR_Core
		SlurmdParameters=config_overrides
		NodeName=$NODE NodeAddr=127.0.0.1 CPUs=$CORES RealMemory=$MEMORY State=UNKNOWN
		PartitionName=normal Nodes=$NODE Default=YES MaxTime=INFINITE PriorityTier=1 PreemptMode=REQUEUE GraceTime=${GRACE_TIME:-0}
		PartitionName=urgent Nodes=$NODE MaxTime=INFINITE PriorityTier=2 PreemptMode=OFF
	END
}

start_munge() {
	[ -s "$STATE/munge.key" ] || (umask 077 && head -c 128 /dev/urandom > "$STATE/munge.key")
	rm -f "$STATE/munge.socket" "$STATE/munged.pid"
	munged --force --key-file="$STATE/munge.key" --socket="$STATE/munge.socket" \
		--pid-file="$STATE/munged.pid" --log-file="$STATE/munged.log" --seed-file="$STATE/munge.seed" \
		2> /dev/null || die "munged did not start: $(tail -n 1 "$STATE/munged.log")"
}

up() {
	[ "$(id -u)" = 0 ] || die "needs root"
	ours || die "$CONF is of another Slurm; left alone"
	mkdir -p "$STATE/slurmctld" "$STATE/slurmd"
	install_packages
	mkdir -p "${CONF%/*}"
	configuration > "$STATE/slurm.conf"
	if ! cmp -s "$STATE/slurm.conf" "$CONF"; then
		cp "$STATE/slurm.conf" "$CONF"
		! alive slurmctld || scontrol reconfigure || die "this change needs down, then up"
	fi
	alive munged || start_munge
	alive slurmctld || slurmctld
	alive slurmd || slurmd
	wait_until 30 answers || die "does not answer: $(tail -n 1 "$STATE/slurmctld.log")"
	echo "slurm_local: up, $CORES cores, partitions normal and urgent"
}

status() {
	answers || die "not running"
	sinfo
	squeue
}

down() {
	[ "$(id -u)" = 0 ] || die "needs root"
	ours || die "$CONF is of another Slurm; left alone"
	if alive slurmctld && alive slurmd && alive munged; then
		squeue --noheader --format=%A | sort -u | xargs -r scancel
		wait_until 15 no_jobs || true
	fi
	for daemon in slurmd slurmctld munged; do
		alive "$daemon" || continue
		kill "$(pid "$daemon")"
		wait_until 10 dead "$daemon" || kill -KILL "$(pid "$daemon")"
	done
	rm -rf "$STATE" "$CONF"
	echo "slurm_local: down"
}

no_jobs() { [ -z "$(squeue --noheader)" ]; }

dead() { ! alive "$1"; }

case ${1:-} in
	up | status | down) "$1" ;;
	*) die "usage: $0 up|status|down" ;;
esac
