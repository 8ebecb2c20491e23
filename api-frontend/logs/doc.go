// Package logs carries the output of containers from their agents to their log files and to whoever is attached.
//
//	Log.StartRun -> Pump (frames in, acknowledgements out) -> Log.Append -> file, then subscribers -> Log.EndRun
//
// A Log belongs to one container for its whole life. Each start of the container's process is a run with a number
// that the caller chooses and never uses twice; stream offsets count from 0 in every run. Log.Offsets tells from where
// the agent has to send again, also after a crash. Read serves `docker logs`, Subscribe serves attach; both end when
// the run that they follow has ended and all of it was delivered.
//
// Invariants: a byte is acknowledged only after write(2) took the whole record that holds it; the records of one
// stream of one run, joined, are exactly the bytes of the process; a file never lacks a position (run and offsets), so
// that a torn tail is cut and the rest is sent again, nothing lost and nothing twice; a slow reader delays nobody,
// except with the driver none, where the slowest subscriber holds the pump back; every buffer is bounded.
//
// The option mode=non-blocking is accepted and loses nothing: max-buffer-size is the agent's spool, which holds more.
//
// Format of json-file: Docker's lines. The last record of each write, the first of a file and the first of a run end with
// an extra key "pos":[run,stdout,stderr], the offsets after that record; a record that is not valid UTF-8 has an
// extra key "raw" with its bytes in base64. Other tools ignore both.
package logs
