// Package network answers for the networks that every engine has: bridge, host and none.
//
// They are facts of the engine, not objects that anybody makes: their IDs follow from the engine's own ID and stay the
// same for its life. Who is attached to them follows from the containers. Other networks are refused in one sentence.
package network
