module earshot.test/builds

go 1.19

require earshot.test/dep v0.0.0

replace earshot.test/dep => ./dep
