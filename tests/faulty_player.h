/* A GPU that fails on demand: a player around another one, for tests of what happens then. */
#ifndef INGLE_FAULTY_PLAYER_H
#define INGLE_FAULTY_PLAYER_H

#include "session/session.h"

enum { FAULTY_MOST_PASSES = 256 };

/* What all players of a test share. Counts are 1-based, 0 = never, and go on from player to player. */
typedef struct {
    ingle_status (*open)(gpu_player *out, const ingle_allocator *a, ingle_error *err); // what is wrapped
    long lose_at, lose_every; // a play that finds the device gone; then again after so many more, 0 = once
    bool lose_now;            // the next call finds it gone
    long no_memory_at;        // a BUFFER that cannot be had
    bool no_memory_again;     // nor any after it
    long fault_at;            // a play that the device refuses
    bool gone;                // no other GPU can be opened
    bool pretend;             // tokens chosen are faulty_token's: for a player that computes nothing
    double ms_a_token;        // of passes of many
    bool waits;               // a ticket is answered once the caller was told to wait: a host that cannot block

    long plays, buffers, opened, closed;
    long to_answer;           // tickets that nobody has had the answers of
    char failed[64];          // label of the buffer that could not be had
    uint32_t passes[FAULTY_MOST_PASSES][2]; // first position and tokens of each run
    uint32_t draws[FAULTY_MOST_PASSES];     // that answers began with
    size_t n_passes, n_begun;
} faulty;

/* Players for session_open; f must outlive the session. */
session_players faulty_players(faulty *f, bool offers);

int32_t faulty_token(uint32_t draw); // letters of the tiny models

#endif
