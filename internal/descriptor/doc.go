// Package descriptor passes open descriptors between two processes over a unix socket of its own: the giver registers
// one and tells its token by other means (a gRPC answer), the taker redeems the token and receives the descriptor by
// SCM_RIGHTS.
//
// Invariants: a token is 16 random bytes, good once and for 10 seconds; what nobody fetched is closed; the table and
// the number of peers are bounded; a peer is checked before a byte of it is read.
package descriptor
