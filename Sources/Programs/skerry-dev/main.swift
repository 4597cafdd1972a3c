import ArgumentParser

await DevCommand.main()
