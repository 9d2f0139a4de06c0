#!/bin/bash
# A root folder with this Debian's essential packages and python3 and nothing else, copied from what is installed here, so that nothing
# is fetched: make_empty_root.sh <folder>
set -euo pipefail
root=$1

# Essential packages and python3, with what they depend on, as far as it is installed.
packages() {
  local wanted known="" name
  wanted=$(dpkg-query -W -f='${Essential} ${Package}\n' | sed -n 's/^yes //p')
  wanted="$wanted python3 python3-minimal gzip"
  while [ -n "$wanted" ]; do
    known=$(printf '%s\n' $known $wanted | sort -u)
    wanted=$(dpkg-query -W -f='${Pre-Depends}, ${Depends}\n' $wanted 2>/dev/null | tr ',|' '\n\n' | sed -E 's/\(.*//; s/:any//; s/ //g' |
      grep . | sort -u | comm -23 - <(echo "$known") | while read -r name; do
        dpkg-query -W -f='${db:Status-Status} ${Package}\n' "$name" 2>/dev/null | sed -n 's/^installed //p'
      done | sort -u | comm -23 - <(echo "$known"))
  done
  echo "$known"
}

mkdir -p "$root"/{dev/shm,proc,sys,tmp,root,usr/bin,usr/sbin,usr/lib,usr/lib64,etc}
chmod 1777 "$root/tmp"
for folder in bin sbin lib lib64; do
  ln -sfn "usr/$folder" "$root/$folder"
done
packages | while read -r package; do
  dpkg-query -L "$package" | while IFS= read -r path; do
    case $path in /usr/share/doc/* | /usr/share/man/* | /usr/share/locale/*) continue ;; esac
    if [ -L "$path" ] || [ -f "$path" ]; then
      case $path in /bin/* | /sbin/* | /lib/* | /lib64/*) target=$root/usr$path ;; *) target=$root$path ;; esac
      mkdir -p "${target%/*}"
      cp -d --preserve=mode "$path" "$target"
    fi
  done
done
# What installing would have made: accounts, the loader's cache.
cp /etc/os-release "$root/etc/" 2>/dev/null || true
echo 'root:x:0:0:root:/root:/bin/bash' >"$root/etc/passwd"
echo 'root:x:0:' >"$root/etc/group"
printf '127.0.0.1 localhost\n' >"$root/etc/hosts"
chroot "$root" /sbin/ldconfig
