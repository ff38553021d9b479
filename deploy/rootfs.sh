#!/usr/bin/env bash
# Collects into a folder what the daemon needs to run on nothing else: the binary, the libraries it
# names, the loader, certificates and the default model.
#   deploy/rootfs.sh BINARY FOLDER [PLUG-IN ...]
# A plug-in goes next to the binary's libraries. Libraries of the machine's driver are left out: the
# container's runtime brings them.
set -euo pipefail
binary=$1 root=$2
shift 2
cd "$(dirname "$0")/.."

# Prints the files of the libraries that its arguments need, the loader among them.
libraries_of() {
  ldd "$@" | awk '$2 == "=>" && $3 ~ /^\// { print $3 } $1 ~ /^\// && NF == 2 { print $1 }' |
    grep -v ':$' | sort -u
}

install -D --strip --mode=0755 "$binary" "$root/usr/bin/quire"
for plugin in "$@"; do
  install -D --strip --mode=0755 "$plugin" "$root/usr/lib/quire/$(basename "$plugin")"
done
while read -r library; do
  # As the loader looks for it: by the path that it was found at, with links followed.
  install -D --mode=0755 "$(readlink -f "$library")" "$root$library"
done < <(libraries_of "$binary" "$@")
for file in config.json generation_config.json model.safetensors tokenizer.json tokenizer_config.json; do
  install -D --mode=0644 "deploy/model/$file" "$root/usr/share/quire/model/$file"
done
install -D --mode=0644 LICENSE "$root/usr/share/doc/quire/LICENSE"
if [[ -f /etc/ssl/certs/ca-certificates.crt ]]; then
  install -D --mode=0644 /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/ca-certificates.crt"
fi
# Names for the user that the image runs as; nothing can log in.
install -d "$root/etc"
printf 'quire:x:65532:65532::/nonexistent:/nonexistent\n' >"$root/etc/passwd"
printf 'quire:x:65532:\n' >"$root/etc/group"
du -sk "$root" | awk '{ printf "rootfs: %.1f MB\n", $1 * 1024 / 1e6 }'
