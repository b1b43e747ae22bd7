module earshot.test/recorded

go 1.19
