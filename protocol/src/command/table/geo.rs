//! Commands of geo sets: one line each.

use super::prelude::*;

#[rustfmt::skip]
pub(super) const COMMANDS: &[Command] = &[
    cmd("geoadd", -5, WRITE | DENYOOM, Refused(LATER)).keys(ONE, &[RW | UPDATE]).docs("3.2.0", "O(log(N)) for each item added, where N is the number of elements in the sorted set.", "Add one or more geospatial items in the geospatial index represented using a sorted set"),
    cmd("geodist", -4, READ | SAFE, Refused(LATER)).keys(ONE, &[RO | ACCESS]).docs("3.2.0", "O(log(N))", "Returns the distance between two members of a geospatial index"),
    cmd("geohash", -2, READ | SAFE, Refused(LATER)).keys(ONE, &[RO | ACCESS]).docs("3.2.0", "O(log(N)) for each member requested, where N is the number of elements in the sorted set.", "Returns members of a geospatial index as standard geohash strings"),
    cmd("geopos", -2, READ | SAFE, Refused(LATER)).keys(ONE, &[RO | ACCESS]).docs("3.2.0", "O(N) where N is the number of members requested.", "Returns longitude and latitude of members of a geospatial index"),
    cmd("georadius", -6, WRITE | DENYOOM, Refused(LATER)).keys(Special(Find::GeoStore { from: 6 }), &[RO | ACCESS, OW | UPDATE, OW | UPDATE]).docs("3.2.0", "O(N+log(M)) where N is the number of elements inside the bounding box of the circular area delimited by center and radius and M is the number of items inside the index.", "Query a sorted set representing a geospatial index to fetch members matching a given maximum distance from a point"),
    cmd("georadius_ro", -6, READ | SAFE, Refused(LATER)).keys(ONE, &[RO | ACCESS]).docs("3.2.10", "O(N+log(M)) where N is the number of elements inside the bounding box of the circular area delimited by center and radius and M is the number of items inside the index.", "A read-only variant for GEORADIUS"),
    cmd("georadiusbymember", -5, WRITE | DENYOOM, Refused(LATER)).keys(Special(Find::GeoStore { from: 5 }), &[RO | ACCESS, OW | UPDATE, OW | UPDATE]).docs("3.2.0", "O(N+log(M)) where N is the number of elements inside the bounding box of the circular area delimited by center and radius and M is the number of items inside the index.", "Query a sorted set representing a geospatial index to fetch members matching a given maximum distance from a member"),
    cmd("georadiusbymember_ro", -5, READ | SAFE, Refused(LATER)).keys(ONE, &[RO | ACCESS]).docs("3.2.10", "O(N+log(M)) where N is the number of elements inside the bounding box of the circular area delimited by center and radius and M is the number of items inside the index.", "A read-only variant for GEORADIUSBYMEMBER"),
    cmd("geosearch", -7, READ | SAFE, Refused(LATER)).keys(ONE, &[RO | ACCESS]).docs("6.2.0", "O(N+log(M)) where N is the number of elements in the grid-aligned bounding box area around the shape provided as the filter and M is the number of items inside the shape", "Query a sorted set representing a geospatial index to fetch members inside an area of a box or a circle."),
    cmd("geosearchstore", -8, WRITE | DENYOOM, Refused(LATER)).keys(TWO, &[OW | UPDATE, RO | ACCESS]).docs("6.2.0", "O(N+log(M)) where N is the number of elements in the grid-aligned bounding box area around the shape provided as the filter and M is the number of items inside the shape", "Query a sorted set representing a geospatial index to fetch members inside an area of a box or a circle, and store the result in another key."),
];
