package seccomp

import "upstream.invalid/libseccomp-golang"

// What is libseccomp's own.
type (
	ScmpArch      = seccomp.ScmpArch
	ScmpAction    = seccomp.ScmpAction
	ScmpCompareOp = seccomp.ScmpCompareOp
	ScmpCondition = seccomp.ScmpCondition
	ScmpSyscall   = seccomp.ScmpSyscall
	ScmpFd        = seccomp.ScmpFd
	VersionError  = seccomp.VersionError
)

// Its constants.
const (
	ArchInvalid         = seccomp.ArchInvalid
	ArchNative          = seccomp.ArchNative
	ArchX86             = seccomp.ArchX86
	ArchAMD64           = seccomp.ArchAMD64
	ArchX32             = seccomp.ArchX32
	ArchARM             = seccomp.ArchARM
	ArchARM64           = seccomp.ArchARM64
	ArchMIPS            = seccomp.ArchMIPS
	ArchMIPS64          = seccomp.ArchMIPS64
	ArchMIPS64N32       = seccomp.ArchMIPS64N32
	ArchMIPSEL          = seccomp.ArchMIPSEL
	ArchMIPSEL64        = seccomp.ArchMIPSEL64
	ArchMIPSEL64N32     = seccomp.ArchMIPSEL64N32
	ArchPPC             = seccomp.ArchPPC
	ArchPPC64           = seccomp.ArchPPC64
	ArchPPC64LE         = seccomp.ArchPPC64LE
	ArchS390            = seccomp.ArchS390
	ArchS390X           = seccomp.ArchS390X
	ArchPARISC          = seccomp.ArchPARISC
	ArchPARISC64        = seccomp.ArchPARISC64
	ArchRISCV64         = seccomp.ArchRISCV64
	ArchLOONGARCH64     = seccomp.ArchLOONGARCH64
	ActInvalid          = seccomp.ActInvalid
	ActKillThread       = seccomp.ActKillThread
	ActTrap             = seccomp.ActTrap
	ActNotify           = seccomp.ActNotify
	ActErrno            = seccomp.ActErrno
	ActTrace            = seccomp.ActTrace
	ActAllow            = seccomp.ActAllow
	ActLog              = seccomp.ActLog
	ActKillProcess      = seccomp.ActKillProcess
	CompareInvalid      = seccomp.CompareInvalid
	CompareNotEqual     = seccomp.CompareNotEqual
	CompareLess         = seccomp.CompareLess
	CompareLessOrEqual  = seccomp.CompareLessOrEqual
	CompareEqual        = seccomp.CompareEqual
	CompareGreaterEqual = seccomp.CompareGreaterEqual
	CompareGreater      = seccomp.CompareGreater
	CompareMaskedEqual  = seccomp.CompareMaskedEqual
)

// Its functions.
var (
	GetAPI                   = seccomp.GetAPI
	GetArchFromString        = seccomp.GetArchFromString
	GetLibraryVersion        = seccomp.GetLibraryVersion
	GetNativeArch            = seccomp.GetNativeArch
	GetSyscallFromName       = seccomp.GetSyscallFromName
	GetSyscallFromNameByArch = seccomp.GetSyscallFromNameByArch
	MakeCondition            = seccomp.MakeCondition
)
