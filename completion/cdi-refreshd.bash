# bash completion for cdi-refreshd(8)
# Made by completion/generate.py: `make generated`.
_cdi_refreshd() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} command=${COMP_WORDS[1]}
    local options="" words="" list="" paths=""
    COMPREPLY=()
    # bash takes --option=value for three words.
    if [[ $cur == "=" ]]; then
        cur=""
    elif [[ $prev == "=" ]]; then
        prev=${COMP_WORDS[COMP_CWORD-2]}
    fi
    if ((COMP_CWORD == 1)); then
        mapfile -t COMPREPLY < <(compgen -W "run oneshot generate check diff validate list adopt status host-nodes refresh hold config bundle install-units --help --version" -- "$cur")
        return
    fi
    # As nvidia-ctk has it: cdi generate.
    if [[ $command == cdi ]]; then
        ((COMP_CWORD == 2)) && {
            mapfile -t COMPREPLY < <(compgen -W "generate list" -- "$cur")
            return
        }
        command=${COMP_WORDS[2]}
    fi
    case $prev in
    --config-file | --csv.file | --output | --config)
        paths=-f
        ;;
    --log-format)
        words="auto plain json journal"
        ;;
    --device-name-strategy)
        list="index type-index uuid"
        ;;
    --device-id | --device-ids | --device | --devices | --csv.ignore-pattern | --program-search-path | --vendor | --cdi-vendor | --class | --cdi-class | --hooks | --nvidia-cdi-hook-path | --nvidia-ctk-path | --ldconfig-path | --csv.compat-container-root | --wait | --timeout)
        return
        ;;
    --disable-hook | --disable-hooks)
        list="chmod create-symlinks disable-device-node-modification enable-cuda-compat update-application-profile update-ldcache all"
        ;;
    --enable-hook | --enable-hooks)
        list="chmod create-symlinks disable-device-node-modification enable-cuda-compat update-application-profile update-ldcache"
        ;;
    --feature-flag | --feature-flags)
        list="both-loader-directories disable-ipc-discoverer disable-multiple-csv-devices enable-32bit-libraries enable-coherent-annotations enable-explicit-driver-libraries no-additional-gids-for-device-nodes no-device-numbers disable-nvsandboxutils disable-nvsandbox-utils"
        ;;
    --library-search-path | --config-search-path | --driver-root | --dev-root | --spec-dir | --root)
        paths=-d
        ;;
    --mode | --discovery-mode)
        words="auto csv gdrcopy gds imex management mofed nvml nvswitch wsl"
        ;;
    --format)
        words="yaml json"
        ;;
    --level)
        words="fatal degraded info"
        ;;
    esac
    if [[ -n $list ]]; then
        local before=""
        [[ $cur == *,* ]] && before=${cur%,*},
        mapfile -t COMPREPLY < <(compgen -P "$before" -W "$list" -- "${cur##*,}")
        return
    elif [[ -n $words ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
        return
    elif [[ -n $paths ]]; then
        compopt -o filenames
        mapfile -t COMPREPLY < <(compgen "$paths" -- "$cur")
        return
    fi
    case $command in
    run) options="-h --help --config-file --log-format" ;;
    oneshot) options="-h --help --device-name-strategy --device-id --device-ids --device --devices --disable-hook --disable-hooks --enable-hook --enable-hooks --feature-flag --feature-flags --csv.file --csv.ignore-pattern --library-search-path --config-search-path --program-search-path --mode --discovery-mode --driver-root --dev-root --vendor --cdi-vendor --class --cdi-class --hooks --nvidia-cdi-hook-path --nvidia-ctk-path --ldconfig-path --csv.compat-container-root --no-all-device --output --format --wait --strict --config --config-file" ;;
    generate) options="-h --help --device-name-strategy --device-id --device-ids --device --devices --disable-hook --disable-hooks --enable-hook --enable-hooks --feature-flag --feature-flags --csv.file --csv.ignore-pattern --library-search-path --config-search-path --program-search-path --mode --discovery-mode --driver-root --dev-root --vendor --cdi-vendor --class --cdi-class --hooks --nvidia-cdi-hook-path --nvidia-ctk-path --ldconfig-path --csv.compat-container-root --no-all-device --output --format --strict --config --quiet -q --debug -d" ;;
    check) options="-h --help --json --level --spec-dir" ;;
    diff) options="-h --help --device-name-strategy --device-id --device-ids --device --devices --disable-hook --disable-hooks --enable-hook --enable-hooks --feature-flag --feature-flags --csv.file --csv.ignore-pattern --library-search-path --config-search-path --program-search-path --mode --discovery-mode --driver-root --dev-root --vendor --cdi-vendor --class --cdi-class --hooks --nvidia-cdi-hook-path --nvidia-ctk-path --ldconfig-path --csv.compat-container-root --no-all-device --output --format --config --config-file --json" ;;
    validate) options="-h --help" ;;
    list) options="-h --help --spec-dir --json" ;;
    adopt) options="-h --help --dry-run -n --yes -y --spec-dir" ;;
    status) options="-h --help --json --check --alive --watch" ;;
    host-nodes) options="-h --help --dry-run -n --config-file" ;;
    refresh) options="-h --help --no-block --quiet --timeout" ;;
    hold) options="-h --help" ;;
    config) options="-h --help --config-file --json" ;;
    bundle) options="-h --help --device-name-strategy --device-id --device-ids --device --devices --disable-hook --disable-hooks --enable-hook --enable-hooks --feature-flag --feature-flags --csv.file --csv.ignore-pattern --library-search-path --config-search-path --program-search-path --mode --discovery-mode --driver-root --dev-root --vendor --cdi-vendor --class --cdi-class --hooks --nvidia-cdi-hook-path --nvidia-ctk-path --ldconfig-path --csv.compat-container-root --no-all-device --config --config-file" ;;
    install-units) options="-h --help --root --dry-run -n" ;;
    esac
    if [[ $cur == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$options" -- "$cur")
    elif [[ " check validate hold bundle " == *" $command "* ]]; then
        compopt -o filenames
        mapfile -t COMPREPLY < <(compgen -f -- "$cur")
    fi
}
complete -F _cdi_refreshd cdi-refreshd
