// Package guestwire is the framing of the raw streams between the host and a guest agent.
//
// A connection to PortStream begins with one length-prefixed StreamRequest from the host and one length-prefixed
// StreamReply from the agent. What follows depends on the request; for process output it is a sequence of frames
// from the agent and a sequence of acknowledgements from the host, both defined here.
//
// Invariants: every length is checked against its bound before memory is taken; a frame is never split between
// two streams; offsets count the bytes of one stream of one process from 0 and never go back.
package guestwire
