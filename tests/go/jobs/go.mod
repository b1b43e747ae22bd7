// The library of the smallest pack of docs/packs.md, and a program that uses it.
module earshot.test/jobs

go 1.19

require example.com/queue v0.0.0

replace example.com/queue => ./queue
