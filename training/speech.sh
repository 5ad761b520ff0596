#!/bin/sh
# The example voices, from Debian's synthesizers: sh training/speech.sh [FOLDER]
# Packages: festival, festvox-us-slt-hts, flite, ffmpeg.
set -eu
folder=${1:-assets/examples}
mkdir -p "$folder"
raw=$(mktemp -d)
trap 'rm -rf "$raw"' EXIT

cat >"$raw/1.txt" <<'TEXT'
Hello! One photo and my voice were all it took. Now the picture looks at you, blinks, and says whatever I like.
TEXT
cat >"$raw/2.txt" <<'TEXT'
Good morning, and welcome. I was made on an ordinary computer, from a single portrait. Give me a few words, and I will say them for you.
TEXT

text2wave -eval '(voice_cmu_us_slt_arctic_hts)' "$raw/1.txt" -o "$raw/1.wav"
flite -voice rms --setf duration_stretch=0.92 -f "$raw/2.txt" -o "$raw/2.wav"

# Silence at both ends is cut to a breath, the level is brought to -1 dB at the peak.
for n in 1 2; do
    trim='silenceremove=start_periods=1:start_threshold=-45dB:start_silence=0.15'
    gain=$(ffmpeg -hide_banner -i "$raw/$n.wav" -af volumedetect -f null - 2>&1 |
        sed -n 's/.*max_volume: \(-\{0,1\}[0-9.]*\) dB/\1/p')
    ffmpeg -v error -y -i "$raw/$n.wav" -af "highpass=f=60,$trim,areverse,$trim,areverse,volume=$(
        awk "BEGIN { print -1 - ($gain) }"
    )dB" -ar 16000 -ac 1 -c:a pcm_s16le -bitexact "$folder/speech_$n.wav"
done
