// Package failpoint makes a process fail at named points when a test asks for it, and costs nothing otherwise.
//
// ARCA_FAILPOINTS arms points when the process starts: "name=error|panic|delay:50ms|kill", several separated by
// semicolons. "3*error" acts on the first three hits alone, "2-kill" lets two hits pass first, and both may stand
// together: "2-1*kill". The actions: error makes [Hit] return [ErrInjected], delay makes it wait, panic panics, and
// kill ends the process as SIGKILL does.
//
// "dir:/folder" lets a test arm points of a process that runs: a file there, named as the point with "_" for "/", holds
// the action. The first process that hits the point takes the file away, so that the action does not come again after
// a restart, and leaves one whose name ends with ".fired" when it acts.
//
//	ARCA_FAILPOINTS="vmhelper/create-sandbox=1*error;keeper/message=delay:50ms" arca-vmhelper ...
//
// Invariant: without the variable a hit is one load of a nil pointer.
package failpoint
