# What the scripts that fetch from this host's own mirror share; to be sourced. They define die().
# shellcheck shell=sh

# Every package list apt knows, one a line: URI, suite, codename, component. apt has read both its formats.
lists() {
    apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(CODENAME) $(COMPONENT)' \
        'Created-By: Packages' 2>/dev/null | sort -u
}

# What this host runs: $distribution and $host_release.
read_release() {
    ID='' VERSION_CODENAME=''
    # shellcheck source=/dev/null
    . /etc/os-release
    distribution=$ID
    host_release=$VERSION_CODENAME
}

# Where this host gets its packages: $mirror, $security (may be empty), and the $keyring that they are signed with.
choose_mirror() {
    mirror=$(lists | awk -v r="$host_release" '$2 == r || $3 == r { if ($4 == "main") { print $1; exit } }')
    [ -n "$mirror" ] || die "apt's sources name no mirror with $host_release main"
    security=$(lists | awk -v r="$host_release-security" '$2 == r || $3 == r { if ($4 == "main") { print $1; exit } }')
    keyring=/usr/share/keyrings/$distribution-archive-keyring.gpg
    [ -r "$keyring" ] || die "no keyring $keyring: apt-get install $distribution-archive-keyring"
}
