#!/usr/bin/env bash
# Makes the Debian package from a build folder and looks into it: what must be there is there, the
# libraries it depends on are named, and the binary in it runs. lintian, where it is installed, must
# find nothing.
#   tests/deploy/package.sh BUILD_FOLDER
set -euo pipefail
build=$(realpath "$1")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

cpack --config "$build/CPackConfig.cmake" -B "$folder" >"$folder/log" 2>&1 || {
  cat "$folder/log"
  exit 1
}
package=$(ls "$folder"/quire_*.deb)
dpkg-deb --extract "$package" "$folder/root"
for file in usr/bin/quire usr/lib/systemd/system/quire.service etc/quire/quire.conf \
  usr/share/man/man1/quire.1.gz usr/share/bash-completion/completions/quire \
  usr/share/doc/quire/copyright usr/share/doc/quire/changelog.gz \
  usr/share/quire/model/{config.json,model.safetensors,tokenizer.json,tokenizer_config.json}; do
  [[ -s $folder/root/$file ]] || { echo "missing: $file" && exit 1; }
done
depends=$(dpkg-deb --field "$package" Depends)
grep -q 'libstdc++6' <<<"$depends" || { echo "no libraries in: $depends" && exit 1; }
version=$("$folder/root/usr/bin/quire" --version)
[[ $version == "quire $(dpkg-deb --field "$package" Version)" ]] || { echo "$version" && exit 1; }
if command -v lintian >/dev/null; then
  findings=$(lintian --allow-root "$package")
  [[ -z $findings ]] || { echo "$findings" && exit 1; }
fi
echo "$(basename "$package"): $(stat -c %s "$package") bytes; $depends"
