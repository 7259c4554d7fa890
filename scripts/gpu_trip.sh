#!/usr/bin/env bash
# What to run on a machine with a GPU first: whether all works there, how fast it is, then studies.
#
#   bash scripts/gpu_trip.sh smoke    versions, an epoch, a step of each family, pytest -m gpu
#   bash scripts/gpu_trip.sh all      that, step times, processes that share the GPU, studies
#   DEVICE=cpu DATA=synthetic QUICK=1 bash scripts/gpu_trip.sh all    tries the script itself
#
# A part that ended well is not done again: typed again, it goes on with what is missing. Settings, in
# the environment:
#   OUT       results: summary.txt, results.tgz, predictions.tar, written after each part [outputs/gpu]
#   WORK      the runs themselves, with checkpoints [a folder cifarlab-gpu of the system's temporary one]
#   DATA      a data set, or overrides: "data=cifar10 data.root=/data" [cifar10]; runs of the studies are
#             those of docs/results only where data.root is what it is by default, data/ or a link there
#   MINUTES   until which no part goes on; the studies have what the others leave [3 for smoke, 9 for all]
#   JOBS      runs of the studies at a time [8]
#   STUDIES   which of them, commas between [those of small networks]
#   PYTHON    with cifarlab's packages [.venv/bin/python where there is one, else python3]
#   DEVICE    gpu or cpu [gpu]
#   QUICK     1: a step or two of everything
set -uo pipefail
cd "$(dirname "$0")/.."
what=${1:-}
[[ $what == smoke || $what == all ]] || { echo "usage: bash scripts/gpu_trip.sh smoke|all" >&2; exit 2; }

PYTHON=${PYTHON:-$([[ -x .venv/bin/python ]] && echo .venv/bin/python || echo python3)}
DEVICE=${DEVICE:-gpu} DATA=${DATA:-cifar10} QUICK=${QUICK:-} JOBS=${JOBS:-8}
OUT=${OUT:-outputs/gpu} WORK=${WORK:-${TMPDIR:-/tmp}/cifarlab-gpu}
MINUTES=${MINUTES:-$([[ $what == smoke ]] && echo 3 || echo 9)}
STUDIES=${STUDIES:-baseline,group14_models,boelter_dropout_momentum,sapienza_batchnorm,sapienza_dropout,sapienza_augmentation,sapienza_early_stopping,elfarri_findings}
[[ $DATA == *=* ]] || DATA="data=$DATA"
mkdir -p "$OUT" "$WORK/done" "$WORK/logs"
OUT=$(cd "$OUT" && pwd) WORK=$(cd "$WORK" && pwd)
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1} TORCHINDUCTOR_CACHE_DIR=${TORCHINDUCTOR_CACHE_DIR:-$WORK/compiled}
export PYTHONPATH=$PWD/src${PYTHONPATH:+:$PYTHONPATH}

read -ra data <<< "$DATA"
on=("trainer=$DEVICE" "output_root=$WORK" "data.cache_dir=$WORK/cache")
few=(data=synthetic data.num_train=600 data.num_test=100)
quiet=(logger=none evaluation=false)
mixed=trainer.precision=bf16-mixed
several=(hydra/launcher=parallel) # what runs several at once
families=mlp,baseline,sapienza_convnet,tbmi26_resnet,resnet18,preact_resnet18,wide_resnet,densenet,vgg11_bn,torchvision,timm
models=(baseline sapienza_convnet resnet18)
modes='[false,reduce-overhead,true,whole-step]'
timed=(rounds=3 steps=100 warmup=20)
stacked=(seeds=8 rounds=3 steps=50 warmup=10)
shares=(1 2 4 8 12)
sharing=(max_epochs=4)
tested=()
if [[ $QUICK ]]; then
	few=(data=synthetic data.num_train=90 data.num_test=20)
	families=mlp,baseline,tbmi26_resnet models=(mlp) timed=(rounds=1 steps=25 warmup=1)
	modes='[false,true]' stacked=(seeds=2 rounds=1 steps=3 warmup=1) shares=(1 2) sharing=(max_epochs=2 data.fraction=0.05)
	tested=(-k "augmentation or 32-true")
fi
if [[ $DEVICE == cpu ]]; then
	mixed=trainer.precision=32-true modes='[false,true]' # a CPU has no graphs
	export CIFARLAB_GPU_TESTS=cpu
fi

failed=0
seconds_left() { echo $((60 * MINUTES - SECONDS)); }

# What there is so far, small enough to carry away: each archive is whole, or the one before.
pack() {
	(
		cd "$WORK" && cp summary.txt "$OUT/" || exit
		names=(-name result.json -o -name config.yaml -o -name metrics.csv -o -name failure.json)
		names+=(-o -name benchmark.json -o -name "*.log" -o -name summary.txt)
		find . \( -path ./cache -o -path ./compiled -o -path ./published \) -prune \
			-o -type f \( "${names[@]}" \) -print0 | archive results.tgz --gzip
		find . \( -path "./sweeps/share_*" -o -path ./sweeps/families -o -path ./runs \) -prune \
			-o -name predictions.npz -print0 | archive predictions.tar
	)
}

# archive NAME OPTIONS...: the files listed to it; that one is just being written does not matter.
archive() {
	local made=$OUT/.$1.$BASHPID
	tar --create --file "$made" --null --files-from - "${@:2}" 2> /dev/null
	(($? < 2)) && mv "$made" "$OUT/$1"
}

say() { echo "$*" | tee -a "$WORK/summary.txt"; }

# part NAME SECONDS COMMAND...: unless it was done; what it says goes to a log, its last lines to the
# summary. Whether it was done now and well.
part() {
	local name=$1 limit=$2 left began code
	shift 2
	left=$(seconds_left)
	if [[ -e $WORK/done/$name ]]; then
		echo "$name: done before"
		return 1
	elif ((left < 10)); then
		say "$name: left out, the time is up"
		return 1
	else
		began=$SECONDS
		# in this process group, so that whoever stops this script stops the part, too
		timeout --foreground -k 20 $((limit < left ? limit : left)) "$@" > "$WORK/logs/$name.log" 2>&1 < /dev/null
		code=$?
		((code)) && failed=1
		say "$name: $( ((code)) && echo "FAILED ($code)" || echo ok), $((SECONDS - began)) s"
		tail -n 8 "$WORK/logs/$name.log" | cut -c 1-200 | sed 's/^/    /' | tee -a "$WORK/summary.txt"
		((code)) || touch "$WORK/done/$name"
		pack
		return "$code"
	fi
}

# Images a second of all runs of a sweep together, from their epochs but the first.
together() {
	"$PYTHON" - "$1" << 'END'
import csv, statistics, sys
from pathlib import Path

rates = []
for path in sorted(Path(sys.argv[1]).glob("*/metrics.csv")):
    with path.open(encoding="utf-8") as file:
        rates.append([float(row["images_per_s"]) for row in csv.DictReader(file)][1:])
each = [statistics.median(of_run) for of_run in rates if of_run]
print(f"    {len(each)} at once: {sum(each):,.0f} images/s together, the slowest {min(each):,.0f}")
END
}

date -u +"== %Y-%m-%d %H:%M UTC, $what, $DEVICE ==" | tee -a "$WORK/summary.txt"
part versions 60 "$PYTHON" -c 'import os; from cifarlab.base import hardware
print(hardware.versions(), os.cpu_count(), "cores")'
[[ $DEVICE == cpu ]] || part nvidia_smi 20 nvidia-smi
part epoch 90 "$PYTHON" train.py "${data[@]}" "${on[@]}" "${quiet[@]}" $mixed model=baseline max_epochs=1 \
	${QUICK:+data.fraction=0.02} "hydra.run.dir=$WORK/runs/epoch"
part families 120 "$PYTHON" train.py -m "${few[@]}" "${on[@]}" "${quiet[@]}" $mixed sweep=families \
	model=$families max_epochs=1 batch_size=32 +trainer.limit_train_batches=1 +trainer.limit_val_batches=1 \
	"${several[@]}" hydra.launcher.n_jobs=4 jobs_per_gpu=4
part tests 240 "$PYTHON" -m pytest -m gpu tests/gpu -p no:cacheprovider "${tested[@]}"

if [[ $what == all ]]; then
	for model in "${models[@]}"; do
		part "steps_$model" 150 "$PYTHON" scripts/benchmark.py what=compile "${data[@]}" "${on[@]}" $mixed "model=$model" \
			aug=crop_flip "modes=$modes" "${timed[@]}"
	done
	for model in mlp tbmi26_cnn; do
		part "seeds_$model" 60 "$PYTHON" scripts/benchmark.py what=seeds "${data[@]}" "${on[@]}" $mixed "model=$model" \
			"${stacked[@]}"
	done
	for number in "${shares[@]}"; do
		part "share_$number" 90 "$PYTHON" train.py -m "${data[@]}" "${on[@]}" "${quiet[@]}" $mixed \
			"${sharing[@]}" model=baseline callbacks=none "sweep=share_$number" "seed=$(seq -s , 0 $((number - 1)))" \
			"${several[@]}" "hydra.launcher.n_jobs=$number" "jobs_per_gpu=$number" &&
			say "$(together "$WORK/sweeps/share_$number")"
	done
	mkdir -p "$WORK/published"
	cp -rn docs/results "$WORK/published/" # what is published is not trained again
	typed="'data.cache_dir=$WORK/cache'"
	for item in "${data[@]}"; do
		[[ $item == data=cifar10 ]] || typed+=",'$item'"
	done
	# a run that is told to stop has half a minute for its checkpoint
	hours=$(awk "BEGIN { left = $(seconds_left) - 30; print (left > 36 ? left : 36) / 3600 }")
	while sleep 20; do pack; done > /dev/null 2>&1 & # these go on until the time is up
	packer=$!
	trap 'kill $packer 2> /dev/null' EXIT
	part studies 100000 "$PYTHON" scripts/campaign.py "hours=$hours" "device=$DEVICE" "jobs=$JOBS" \
		"hydra.run.dir=$WORK/campaign" "output_root=$WORK" "out=$WORK/published/results" "studies=[$STUDIES]" "overrides=[$typed]" \
		${QUICK:+dry_run=true}
	kill $packer
	wait $packer 2> /dev/null
	rm -f "$OUT"/.results.* "$OUT"/.predictions.* # of a packing that was cut off
	rm -f "$WORK/done/studies" # typed again, it goes on with what is open
fi
pack
exit $failed
