"""The options of units by section, to tell a mistyped one from an option of a newer systemd.

systemd ignores what it does not know, so a mistyped ExecStart= would start nothing. The names are
those of `systemd --dump-configuration-items` of systemd 252, and those that came by 258.
"""

import difflib
from collections.abc import Iterable
from dataclasses import dataclass

from fleet.core.jobs.jobspec import FLEET_OPTIONS
from fleet.core.jobs.unitfile import UnitOption


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Of everything that has a control group.
_CGROUP = _names(
    """
    AllowedCPUs AllowedMemoryNodes BPFProgram BlockIOAccounting BlockIODeviceWeight
    BlockIOReadBandwidth BlockIOWeight BlockIOWriteBandwidth CPUAccounting CPUQuota
    CPUQuotaPeriodSec CPUShares CPUWeight DefaultMemoryLow DefaultMemoryMin
    DefaultStartupMemoryLow Delegate DeviceAllow DevicePolicy DisableControllers IOAccounting
    IODeviceLatencyTargetSec IODeviceWeight IOReadBandwidthMax IOReadIOPSMax IOWeight
    IOWriteBandwidthMax IOWriteIOPSMax IPAccounting IPAddressAllow IPAddressDeny
    IPEgressFilterPath IPIngressFilterPath ManagedOOMMemoryPressure
    ManagedOOMMemoryPressureDurationSec ManagedOOMMemoryPressureLimit ManagedOOMPreference
    ManagedOOMSwap MemoryAccounting MemoryHigh MemoryLimit MemoryLow MemoryMax MemoryMin
    MemoryPressureThresholdSec MemoryPressureWatch MemorySwapMax MemoryZSwapMax
    MemoryZSwapWriteback NFTSet RestrictNetworkInterfaces Slice SocketBindAllow SocketBindDeny
    StartupAllowedCPUs StartupAllowedMemoryNodes StartupBlockIOWeight StartupCPUShares
    StartupCPUWeight StartupIOWeight StartupMemoryHigh StartupMemoryLow StartupMemoryMax
    StartupMemorySwapMax StartupMemoryZSwapMax TasksAccounting TasksMax
    """
)
# Of everything that runs processes.
_PROCESS = _names(
    """
    AmbientCapabilities AppArmorProfile BindLogSockets BindPaths BindReadOnlyPaths CPUAffinity
    CPUSchedulingPolicy CPUSchedulingPriority CPUSchedulingResetOnFork CacheDirectory
    CacheDirectoryAccounting CacheDirectoryMode CacheDirectoryQuota CapabilityBoundingSet
    ConfigurationDirectory ConfigurationDirectoryMode CoredumpFilter CoredumpReceive
    DelegateNamespaces DelegateSubgroup DynamicUser Environment EnvironmentFile ExecPaths
    ExecSearchPath ExtensionDirectories ExtensionImagePolicy ExtensionImages FinalKillSignal Group
    IOSchedulingClass IOSchedulingPriority IPCNamespacePath IgnoreSIGPIPE ImportCredential
    InaccessibleDirectories InaccessiblePaths KeyringMode KillMode KillSignal LimitAS LimitCORE
    LimitCPU LimitDATA LimitFSIZE LimitLOCKS LimitMEMLOCK LimitMSGQUEUE LimitNICE LimitNOFILE
    LimitNPROC LimitRSS LimitRTPRIO LimitRTTIME LimitSIGPENDING LimitSTACK LoadCredential
    LoadCredentialEncrypted LockPersonality LogExtraFields LogFilterPatterns LogLevelMax
    LogNamespace LogRateLimitBurst LogRateLimitIntervalSec LogsDirectory LogsDirectoryAccounting
    LogsDirectoryMode LogsDirectoryQuota MemoryDenyWriteExecute MemoryKSM MountAPIVFS MountFlags
    MountImagePolicy MountImages NUMAMask NUMAPolicy NetworkNamespacePath Nice NoExecPaths
    NoNewPrivileges OOMScoreAdjust PAMName PassEnvironment Personality PrivateDevices PrivateIPC
    PrivateMounts PrivateNetwork PrivatePIDs PrivateTmp PrivateUsers ProcSubset ProtectClock
    ProtectControlGroups ProtectHome ProtectHostname ProtectKernelLogs ProtectKernelModules
    ProtectKernelTunables ProtectProc ProtectSystem ReadOnlyDirectories ReadOnlyPaths
    ReadWriteDirectories ReadWritePaths RemoveIPC RestartKillSignal RestrictAddressFamilies
    RestrictFileSystems RestrictNamespaces RestrictRealtime RestrictSUIDSGID RootDirectory
    RootEphemeral RootHash RootHashSignature RootImage RootImageOptions RootImagePolicy RootVerity
    RuntimeDirectory RuntimeDirectoryMode RuntimeDirectoryPreserve SELinuxContext SecureBits
    SendSIGHUP SendSIGKILL SetCredential SetCredentialEncrypted SetLoginEnvironment
    SmackProcessLabel StandardError StandardInput StandardInputData StandardInputText
    StandardOutput StateDirectory StateDirectoryAccounting StateDirectoryMode StateDirectoryQuota
    SupplementaryGroups SyslogFacility SyslogIdentifier SyslogLevel SyslogLevelPrefix
    SystemCallArchitectures SystemCallErrorNumber SystemCallFilter SystemCallLog TTYColumns
    TTYPath TTYReset TTYRows TTYVHangup TTYVTDisallocate TemporaryFileSystem TimeoutCleanSec
    TimeoutSec TimerSlackNSec UMask UnsetEnvironment User UserNamespacePath UtmpIdentifier
    UtmpMode WatchdogSignal WorkingDirectory
    """
)
_UNIT = _names(
    """
    After AllowIsolate AssertACPower AssertArchitecture AssertCPUFeature AssertCPUPressure
    AssertCPUs AssertCapability AssertControlGroupController AssertCredential
    AssertDirectoryNotEmpty AssertEnvironment AssertFileIsExecutable AssertFileNotEmpty
    AssertFirstBoot AssertGroup AssertHost AssertIOPressure AssertKernelCommandLine
    AssertKernelModuleLoaded AssertKernelVersion AssertMemory AssertMemoryPressure
    AssertNeedsUpdate AssertOSRelease AssertPathExists AssertPathExistsGlob AssertPathIsDirectory
    AssertPathIsEncrypted AssertPathIsMountPoint AssertPathIsReadWrite AssertPathIsSocket
    AssertPathIsSymbolicLink AssertSecurity AssertUser AssertVersion AssertVirtualization Before
    BindTo BindsTo CollectMode ConditionACPower ConditionArchitecture ConditionCPUFeature
    ConditionCPUPressure ConditionCPUs ConditionCapability ConditionControlGroupController
    ConditionCredential ConditionDirectoryNotEmpty ConditionEnvironment ConditionFileIsExecutable
    ConditionFileNotEmpty ConditionFirmware ConditionFirstBoot ConditionGroup ConditionHost
    ConditionIOPressure ConditionKernelCommandLine ConditionKernelModuleLoaded
    ConditionKernelVersion ConditionMemory ConditionMemoryPressure ConditionNeedsUpdate
    ConditionOSRelease ConditionPathExists ConditionPathExistsGlob ConditionPathIsDirectory
    ConditionPathIsEncrypted ConditionPathIsMountPoint ConditionPathIsReadWrite
    ConditionPathIsSocket ConditionPathIsSymbolicLink ConditionSecurity ConditionUser
    ConditionVersion ConditionVirtualization Conflicts DebugInvocation DefaultDependencies
    Description Documentation FailureAction FailureActionExitStatus IgnoreOnIsolate
    JobRunningTimeoutSec JobTimeoutAction JobTimeoutRebootArgument JobTimeoutSec JoinsNamespaceOf
    OnFailure OnFailureIsolate OnFailureJobMode OnSuccess OnSuccessJobMode PartOf
    PropagateReloadFrom PropagateReloadTo PropagatesReloadTo PropagatesStopTo RebootArgument
    RefuseManualStart RefuseManualStop ReloadPropagatedFrom Requires RequiresMountsFor
    RequiresOverridable Requisite RequisiteOverridable SourcePath StartLimitAction StartLimitBurst
    StartLimitInterval StartLimitIntervalSec StopPropagatedFrom StopWhenUnneeded SuccessAction
    SuccessActionExitStatus SurviveFinalKillSignal Upholds Wants WantsMountsFor
    """
)
_INSTALL = _names("Alias Also DefaultInstance RequiredBy WantedBy")
_SERVICE = _names(
    """
    BusName ExecCondition ExecReload ExecStart ExecStartPost ExecStartPre ExecStop ExecStopPost
    ExitType FailureAction FileDescriptorStoreMax FileDescriptorStorePreserve GuessMainPID
    NonBlocking NotifyAccess OOMPolicy OpenFile PIDFile PermissionsStartOnly RebootArgument
    ReloadSignal RemainAfterExit Restart RestartForceExitStatus RestartMaxDelaySec RestartMode
    RestartPreventExitStatus RestartSec RestartSteps RootDirectoryStartOnly RuntimeMaxSec
    RuntimeRandomizedExtraSec Sockets StartLimitAction StartLimitBurst StartLimitInterval
    SuccessExitStatus TimeoutAbortSec TimeoutStartFailureMode TimeoutStartSec
    TimeoutStopFailureMode TimeoutStopSec Type USBFunctionDescriptors USBFunctionStrings
    WatchdogSec
    """
)
_SOCKET = _names(
    """
    Accept AcceptFileDescriptors Backlog BindIPv6Only BindToDevice Broadcast DeferAcceptSec
    DeferTrigger DeferTriggerMaxSec DirectoryMode ExecStartPost ExecStartPre ExecStopPost
    ExecStopPre FileDescriptorName FlushPending FreeBind IPTOS IPTTL KeepAlive
    KeepAliveIntervalSec KeepAliveProbes KeepAliveTimeSec ListenDatagram ListenFIFO
    ListenMessageQueue ListenNetlink ListenSequentialPacket ListenSpecial ListenStream
    ListenUSBFunction Mark MaxConnections MaxConnectionsPerSource MessageQueueMaxMessages
    MessageQueueMessageSize NoDelay PassCredentials PassFileDescriptorsToExec PassPIDFD
    PassPacketInfo PassSecurity PipeSize PollLimitBurst PollLimitIntervalSec Priority
    ReceiveBuffer RemoveOnStop ReusePort SELinuxContextFromNet SendBuffer Service SmackLabel
    SmackLabelIPIn SmackLabelIPOut SocketGroup SocketMode SocketProtocol SocketUser Symlinks
    TCPCongestion Timestamping Transparent TriggerLimitBurst TriggerLimitIntervalSec Writable
    """
)
_MOUNT = _names(
    """
    DirectoryMode ForceUnmount LazyUnmount Options ReadWriteOnly SloppyOptions Type What Where
    """
)
_SWAP = _names("Options Priority What")
_AUTOMOUNT = _names("DirectoryMode ExtraOptions TimeoutIdleSec Where")
_TIMER = _names(
    """
    AccuracySec DeferReactivation FixedRandomDelay OnActiveSec OnBootSec OnCalendar OnClockChange
    OnStartupSec OnTimezoneChange OnUnitActiveSec OnUnitInactiveSec Persistent RandomizedDelaySec
    RandomizedOffsetSec RemainAfterElapse Unit WakeSystem
    """
)
_PATH = _names(
    """
    DirectoryMode DirectoryNotEmpty MakeDirectory PathChanged PathExists PathExistsGlob
    PathModified TriggerLimitBurst TriggerLimitIntervalSec Unit
    """
)
_SCOPE = _names(
    """
    FinalKillSignal KillMode KillSignal OOMPolicy RestartKillSignal RuntimeMaxSec
    RuntimeRandomizedExtraSec SendSIGHUP SendSIGKILL TimeoutStopSec WatchdogSignal
    """
)
_OF_PROCESSES = _CGROUP | _PROCESS
OPTIONS = {
    "Unit": _UNIT,
    "Install": _INSTALL,
    "Service": _SERVICE | _OF_PROCESSES,
    "Socket": _SOCKET | _OF_PROCESSES,
    "Mount": _MOUNT | _OF_PROCESSES,
    "Swap": _SWAP | _OF_PROCESSES,
    "Automount": _AUTOMOUNT,
    "Timer": _TIMER,
    "Path": _PATH,
    "Slice": _CGROUP,
    "Scope": _SCOPE | _CGROUP,
    "X-Fleet": FLEET_OPTIONS,
}
# How alike a name must be to count as mistyped, from 0 to 1.
LIKENESS = 0.8


@dataclass(frozen=True, slots=True)
class Mistakes:
    """What is certainly wrong with the options of a unit, and what may be; one line each."""

    errors: tuple[str, ...]
    warnings: tuple[str, ...]


def mistakes(options: Iterable[UnitOption]) -> Mistakes:
    """Return the mistakes in the names of options.

    An unknown option of [X-Fleet] is one. Another unknown option is one if its name is nearly that
    of a known option; else it may be of a newer systemd.
    """
    errors, warnings = [], []
    for each in options:
        known = OPTIONS.get(each.section, frozenset())
        if each.name in known or each.name.startswith("X-"):
            continue
        text = f"line {each.line}: [{each.section}] has no option {each.name}="
        if near := difflib.get_close_matches(each.name, known, 1, LIKENESS):
            errors.append(f"{text}: did you mean {near[0]}=?")
        elif homes := [name for name, names in OPTIONS.items() if each.name in names]:
            errors.append(f"{text}: it belongs to [{homes[0]}]")
        elif each.section == "X-Fleet":
            errors.append(f"{text}: its options are {', '.join(sorted(known))}")
        else:
            warnings.append(f"{text} that fleet knows")
    return Mistakes(tuple(errors), tuple(warnings))
