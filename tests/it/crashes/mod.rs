//! Killed, or failed by its disk, at every fail point and every time that one is reached: what the program ends in is what
//! it would have ended in undisturbed. Fail points are in debug builds only, and so is this.

mod points;
