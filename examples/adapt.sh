#!/bin/sh
# The same as adapt.py with nothing but curl and python3 (to read and write JSON):
#   HEADSTART_URL=http://127.0.0.1:8321 HEADSTART_KEY=hs_… sh examples/adapt.sh reviews.csv review label "great film"
# The address and the key stand in ~/.headstart/credentials.json once `headstart up` is ready.
set -eu

file=$1 text=$2 target=$3 question=$4 name=${5:-example}
: "${HEADSTART_URL:?}" "${HEADSTART_KEY:?}"

# The key reaches curl through a pipe; as an argument, `ps` would show it.
call() { # METHOD PATH [curl arguments…]
  method=$1 path=$2
  shift 2
  printf 'header = "Authorization: Bearer %s"\n' "$HEADSTART_KEY" |
    curl --silent --show-error --config - --request "$method" "$HEADSTART_URL$path" "$@"
}
# A POST that makes a row takes a key of its own, so that sending it again never makes a second row.
once() { python3 -c 'import uuid; print("Idempotency-Key: " + uuid.uuid4().hex)'; }
json='Content-Type: application/json'
# pick KEY…: one value out of the JSON on stdin; an error's JSON goes to stderr and ends the script.
pick() {
  python3 -c '
import json, sys
value = whole = json.load(sys.stdin)
for key in sys.argv[1:]:
    if key not in value:
        sys.exit(json.dumps(whole))
    value = value[key]
print(value if isinstance(value, str) else json.dumps(value))' "$@"
}
until_ready() { # PATH
  while true; do
    row=$(call GET "$1")
    status=$(printf %s "$row" | pick status)
    case $status in
      ready) return ;;
      invalid) printf '%s\n' "$row" >&2 && exit 1 ;;
    esac
    sleep 0.2
  done
}

# 1. Upload: the fields first, the file last.
dataset=$(call POST /v1/datasets -H "$(once)" --form "name=$name" --form "format=csv" --form "file=@$file" | pick id)
until_ready "/v1/datasets/$dataset"
echo "dataset $dataset is ready"

# 2. The backbone, registered unless it is there.
backbone=$(call GET "/v1/backbones?limit=100" | python3 -c '
import json, sys
print(next((row["id"] for row in json.load(sys.stdin)["data"] if row["source"] == "demo:minilm-l6"), ""))')
if [ -z "$backbone" ]; then
  body='{"name": "minilm-l6", "source": "demo:minilm-l6"}'
  backbone=$(call POST /v1/backbones -H "$(once)" -H "$json" --data "$body" | pick id)
fi
until_ready "/v1/backbones/$backbone"
echo "backbone $backbone is ready"

# 3. The job: a spec names backbone, dataset and task; everything else has a default.
body=$(python3 -c '
import json, sys
backbone, dataset, text, target = sys.argv[1:]
task = {"type": "text-classification", "inputs": {"text": text}, "target": target}
print(json.dumps({"backbone": backbone, "dataset": dataset, "tasks": [task]}))' "$backbone" "$dataset" "$text" "$target")
job=$(call POST /v1/jobs -H "$(once)" -H "$json" --data "$body" | pick id)
while true; do
  row=$(call GET "/v1/jobs/$job?wait=30")
  status=$(printf %s "$row" | pick status)
  echo "job $job is $status"
  case $status in
    succeeded) break ;;
    failed | cancelled) printf '%s\n' "$row" >&2 && exit 1 ;;
  esac
done
echo "metrics $(printf %s "$row" | pick result metrics)"

# 4. Ask.
model=$(printf %s "$row" | pick result model):$(printf %s "$row" | pick result version)
body=$(python3 -c 'import json, sys; print(json.dumps({"inputs": [sys.argv[1]]}))' "$question")
call POST "/v1/models/$model/predict" -H "$json" --data "$body" | pick data
