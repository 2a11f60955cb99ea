export class LookPage {
  open() {}
}
