module earshot.test/bench/woven

go 1.25
